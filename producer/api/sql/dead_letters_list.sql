-- SPDX-License-Identifier: Apache-2.0
-- GET /api/dead-letters: those that fit, the oldest first; `next` is to be asked for as `after`.
-- $1 topic, $2 resolved, $3 limit, $4 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		($2::text NOT IN ('true', 'false'), 'resolved', 'true or false'),
		($3::text IS NOT NULL AND query_limit($3) IS NULL, 'limit', 'a number from 1 to 1000'),
		($4::text !~ '^[0-9]{1,18}$', 'after', 'what an answer gave as next')) v (is_bad, field, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($3) AS most, coalesce($4::text::bigint, 0) AS after WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (   -- the open ones by an index of their own
	(SELECT d AS letter, d.id FROM dead_letters d
	 WHERE $2::text = 'false' AND d.resolved_at IS NULL AND d.id > (SELECT after FROM asked) AND ($1::text IS NULL OR d.topic = $1::text)
	 ORDER BY d.id LIMIT (SELECT most + 1 FROM asked))
	UNION ALL
	(SELECT d, d.id FROM dead_letters d
	 WHERE $2::text IS DISTINCT FROM 'false' AND d.id > (SELECT after FROM asked) AND ($1::text IS NULL OR d.topic = $1::text)
		AND ($2::text IS NULL OR d.resolved_at IS NOT NULL)
	 ORDER BY d.id LIMIT (SELECT most + 1 FROM asked))
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY id LIMIT (SELECT most FROM asked)
)
SELECT 200 AS status, jsonb_build_object('dead_letters', (SELECT coalesce(jsonb_agg(dead_letter_record(letter) ORDER BY id), '[]') FROM shown),
	'next', CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown) THEN (SELECT max(id)::text FROM shown) END) AS body
FROM asked
UNION ALL
SELECT 422, problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM bad HAVING count(*) > 0
