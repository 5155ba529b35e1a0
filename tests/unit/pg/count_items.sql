-- SPDX-License-Identifier: Apache-2.0
select count(*)::bigint as n from item
