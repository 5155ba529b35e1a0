-- SPDX-License-Identifier: Apache-2.0
select e, o from unnest($1::text[]) with ordinality as u (e, o) order by o
