-- SPDX-License-Identifier: Apache-2.0
-- One runner at a time; the others wait here. The lock ends with the session. $1 longest wait of a runner
SELECT set_config('lock_timeout', $1::text, false), pg_advisory_lock(7236298474831)
