-- SPDX-License-Identifier: Apache-2.0
select pg_sleep($1::float8)
