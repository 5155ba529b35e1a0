-- SPDX-License-Identifier: Apache-2.0
-- POST /api/dead-letters/{id}/discard: it is of no use any more. Again it changes nothing. $1 id, $2 {"note"}
WITH bad AS MATERIALIZED (
	SELECT left(key, 100) AS field, 'no such member' AS detail FROM jsonb_object_keys($2::jsonb) key WHERE key <> 'note'
	UNION ALL
	SELECT 'note', 'text of up to 2000 characters'
	WHERE jsonb_typeof($2::jsonb -> 'note') NOT IN ('string', 'null') OR length($2::jsonb ->> 'note') > 2000
), was AS MATERIALIZED (
	SELECT * FROM dead_letters
	WHERE id = CASE WHEN $1::text ~ '^[0-9]{1,18}$' THEN $1::text::bigint END AND NOT EXISTS (SELECT FROM bad) FOR UPDATE
), discarded AS (
	UPDATE dead_letters d SET resolution = 'discarded', resolved_at = now() FROM was w
	WHERE d.id = w.id AND w.resolved_at IS NULL AND (w.replaying_until IS NULL OR w.replaying_until < now())
	RETURNING d AS letter
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, note, actor)
	SELECT 'dead_letter', (letter).id::text, 'open', 'discarded', 'discard', $2::jsonb ->> 'note', 'operator' FROM discarded
)
SELECT 200 AS status, jsonb_build_object('changed', true, 'dead_letter', dead_letter_record(letter)) AS body FROM discarded
UNION ALL
SELECT 200, jsonb_build_object('changed', false, 'dead_letter', dead_letter_record(d)) FROM was w JOIN dead_letters d USING (id)
WHERE w.resolution = 'discarded'
UNION ALL
SELECT 409, problem(409, CASE WHEN resolution = 'replayed' THEN 'it has been replayed' ELSE 'it is being replayed' END)
FROM was WHERE resolution IS DISTINCT FROM 'discarded' AND NOT EXISTS (SELECT FROM discarded)
UNION ALL
SELECT 404, problem(404, 'no such dead letter') WHERE NOT EXISTS (SELECT FROM was) AND NOT EXISTS (SELECT FROM bad)
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
