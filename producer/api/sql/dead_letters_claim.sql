-- SPDX-License-Identifier: Apache-2.0
-- POST /api/dead-letters/replay: takes what is asked for, and is open and nobody else's, for a while; as many as one request
-- may hold. Without dry_run nobody takes them again until dead_letters_replayed.sql says how it went, or the while is over.
-- The first row is the answer so far, the others are the letters. A named one that can't be replayed refuses all.
-- $1 {"ids" | "all", "topic", "dry_run", "again"}
WITH given AS MATERIALIZED (
	SELECT coalesce(g -> 'dry_run' = 'true', false) AS dry_run, coalesce(g -> 'again' = 'true', false) AS again,
		coalesce(g -> 'all' = 'true', false) AS everything, g ->> 'topic' AS topic,
		CASE jsonb_typeof(g -> 'ids') WHEN 'array' THEN g -> 'ids' ELSE '[]' END AS ids, g ? 'ids' AS has_ids
	FROM (SELECT $1::jsonb AS g) j
), bad AS MATERIALIZED (
	SELECT left(key, 100) AS field, 'no such member' AS detail FROM jsonb_object_keys($1::jsonb) key
	WHERE key NOT IN ('ids', 'all', 'topic', 'dry_run', 'again')
	UNION ALL
	SELECT key, 'true or false' FROM jsonb_each($1::jsonb) WHERE key IN ('all', 'dry_run', 'again') AND jsonb_typeof(value) <> 'boolean'
	UNION ALL
	SELECT 'topic', 'the name of a topic, with all' FROM given
	WHERE jsonb_typeof($1::jsonb -> 'topic') <> 'string' OR topic IS NOT NULL AND NOT everything
	UNION ALL
	SELECT 'again', 'for ids alone: with all it would repeat all that ever was' FROM given WHERE again AND NOT has_ids
	UNION ALL
	SELECT 'ids', 'give either ids or "all": true' FROM given WHERE has_ids = everything
	UNION ALL
	SELECT 'ids', '1 to 1000 numbers' FROM given
	WHERE has_ids AND (jsonb_array_length(ids) NOT BETWEEN 1 AND 1000
		OR EXISTS (SELECT FROM jsonb_array_elements(ids) e WHERE jsonb_typeof(e) <> 'number' OR json_id(e) IS NULL))
), asked AS MATERIALIZED (
	SELECT DISTINCT json_id(e) AS id FROM given CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN EXISTS (SELECT FROM bad) THEN '[]' ELSE ids END) e
), missing AS MATERIALIZED (
	SELECT id FROM asked a WHERE NOT EXISTS (SELECT FROM dead_letters d WHERE d.id = a.id)
), refused AS MATERIALIZED (
	SELECT d.id FROM asked JOIN dead_letters d USING (id) WHERE NOT dead_letter_is_message(d.topic)
), verdict AS MATERIALIZED (
	SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 WHEN EXISTS (SELECT FROM missing) THEN 404
		WHEN EXISTS (SELECT FROM refused) THEN 422 ELSE 200 END AS status
), eligible AS MATERIALIZED (   -- open, or named again
	SELECT d.id, d.replaying_until > now() IS TRUE AS busy FROM asked JOIN dead_letters d USING (id), given
	WHERE d.resolved_at IS NULL OR again
	UNION ALL
	SELECT d.id, d.replaying_until > now() IS TRUE FROM dead_letters d
	WHERE d.resolved_at IS NULL AND dead_letter_is_message(d.topic) AND (SELECT everything FROM given)
	AND ((SELECT topic FROM given) IS NULL OR d.topic = (SELECT topic FROM given))
), open AS MATERIALIZED (
	SELECT d.id, d.topic, d.key, d.value, d.headers FROM dead_letters d
	WHERE d.id = ANY (ARRAY(SELECT id FROM eligible WHERE NOT busy AND (SELECT status FROM verdict) = 200 ORDER BY id LIMIT 1000))
	AND (d.resolved_at IS NULL OR (SELECT again FROM given)) AND (d.replaying_until IS NULL OR d.replaying_until <= now())
	ORDER BY d.id FOR UPDATE SKIP LOCKED
), picked AS MATERIALIZED (
	SELECT * FROM (SELECT o.*, sum(octet_length(value)) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS bytes_before FROM open o) s
	WHERE coalesce(bytes_before, 0) < 4194304
), taken AS (
	UPDATE dead_letters d SET replaying_until = now() + interval '1 minute'
	WHERE d.id = ANY (ARRAY(SELECT id FROM picked)) AND NOT (SELECT dry_run FROM given)
)
SELECT v.status, CASE v.status
	WHEN 404 THEN problem(404, 'no dead letter ' || (SELECT string_agg(id::text, ', ' ORDER BY id) FROM missing))
	WHEN 422 THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM (
		SELECT field, detail FROM bad
		UNION ALL
		SELECT 'ids', format('%s is a provider''s callback that could not be read, no message of a topic: discard it, or have it sent again', id)
		FROM refused) e))
	ELSE jsonb_build_object('dry_run', g.dry_run,
		'resolved', (SELECT count(*) FROM asked) - CASE WHEN g.everything THEN 0 ELSE (SELECT count(*) FROM eligible) END,
		'in_progress', (SELECT count(*) FROM eligible WHERE busy),
		'unreplayable', CASE WHEN g.everything THEN (SELECT count(*) FROM dead_letters d
			WHERE d.resolved_at IS NULL AND NOT dead_letter_is_message(d.topic) AND (g.topic IS NULL OR d.topic = g.topic)) ELSE 0 END,
		'remaining', (SELECT count(*) FROM eligible WHERE NOT busy) - (SELECT count(*) FROM picked)) END AS body,
	g.dry_run, NULL::bigint AS id, NULL::text AS topic, NULL::text AS key, NULL::text AS value, NULL::text AS headers
FROM verdict v, given g
UNION ALL
SELECT 0, NULL, NULL, id, topic, translate(encode(key, 'base64'), E'\n', ''), translate(encode(value, 'base64'), E'\n', ''), headers::text
FROM picked ORDER BY id NULLS FIRST
