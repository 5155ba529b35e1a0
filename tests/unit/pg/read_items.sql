-- SPDX-License-Identifier: Apache-2.0
select id, name, at_ms, flag from item order by id
