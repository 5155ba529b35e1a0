-- SPDX-License-Identifier: Apache-2.0
select pg_terminate_backend(pg_backend_pid())
