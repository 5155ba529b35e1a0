-- SPDX-License-Identifier: Apache-2.0
select planned() as n
