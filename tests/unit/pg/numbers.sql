-- SPDX-License-Identifier: Apache-2.0
select sum(n)::bigint as n from unnest($1::bigint[]) as u (n)
