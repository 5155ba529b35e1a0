-- SPDX-License-Identifier: Apache-2.0
select no_such_column from item
