-- SPDX-License-Identifier: Apache-2.0
select pg_notify($1::text, $2::text)
