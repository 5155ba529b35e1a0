-- SPDX-License-Identifier: Apache-2.0
-- How long a migration may wait for a table, while everybody else waits behind it. $1 with its unit
SELECT set_config('lock_timeout', $1::text, false)
