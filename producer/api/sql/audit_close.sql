-- SPDX-License-Identifier: Apache-2.0
-- POST /api/audit/{id}/close: somebody knows what it was; it is not opened again. $1 id, $2 {"note"}
WITH bad AS MATERIALIZED (
	SELECT left(key, 100) AS field, 'no such member' AS detail FROM jsonb_object_keys($2::jsonb) key WHERE key <> 'note'
	UNION ALL
	SELECT 'note', 'text of 1 to 2000 characters'
	WHERE coalesce(jsonb_typeof($2::jsonb -> 'note'), '') <> 'string' OR length($2::jsonb ->> 'note') NOT BETWEEN 1 AND 2000
), closed AS (
	UPDATE audit_differences d SET note = $2::jsonb ->> 'note', resolved_at = coalesce(d.resolved_at, now())
	WHERE d.id = CASE WHEN $1::text ~ '^[0-9]{1,18}$' THEN $1::text::bigint END AND NOT EXISTS (SELECT FROM bad)
	RETURNING d AS difference
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, note, actor)
	SELECT 'audit', (difference).id::text, 'open', 'closed', (difference).kind, (difference).note, 'operator' FROM closed
)
SELECT 200 AS status, jsonb_build_object('difference', audit_record(difference)) AS body FROM closed
UNION ALL
SELECT 404, problem(404, 'no such difference') WHERE NOT EXISTS (SELECT FROM closed) AND NOT EXISTS (SELECT FROM bad)
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
