-- SPDX-License-Identifier: Apache-2.0
select pg_backend_pid() as pid
