-- SPDX-License-Identifier: Apache-2.0
-- This process lives; those that have been silent for ten minutes are forgotten.
-- $1 name, $2 instance, $3 messages behind by group, $4 when everything was stopped the last time that it heard of, in milliseconds, $5 how long
-- after that its last POST began
WITH gone AS (
	DELETE FROM processes WHERE seen_at < now() - interval '10 minutes' AND (name, instance) <> ($1::text, $2::text)
)
INSERT INTO processes (name, instance, lag, stopped_at, stop_ms) VALUES ($1::text, $2::text, $3::jsonb, from_ms($4::bigint), $5::bigint)
ON CONFLICT (name, instance) DO UPDATE SET seen_at = now(), lag = excluded.lag, stopped_at = coalesce(excluded.stopped_at, processes.stopped_at),
	stop_ms = CASE WHEN excluded.stopped_at IS NULL THEN processes.stop_ms ELSE excluded.stop_ms END
