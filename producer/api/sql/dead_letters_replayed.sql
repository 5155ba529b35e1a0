-- SPDX-License-Identifier: Apache-2.0
-- How a replay went: Kafka has acknowledged these; those can be replayed again. $1 ids acknowledged, $2 other ids
WITH was AS MATERIALIZED (
	SELECT id, coalesce(resolution, 'open') AS state FROM dead_letters WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE
), replayed AS (
	UPDATE dead_letters d SET resolution = 'replayed', resolved_at = now(), replays = d.replays + 1, replaying_until = NULL
	FROM was w WHERE d.id = w.id
), given_back AS (
	UPDATE dead_letters SET replaying_until = NULL WHERE id = ANY ($2::bigint[])
)
INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
SELECT 'dead_letter', id::text, state, 'replayed', 'replay', 'operator' FROM was
