-- SPDX-License-Identifier: Apache-2.0
-- GET records: those that fit, oldest first; `next` is given when there are more, to be asked for as `after`.
-- $1 "true": ready ones, $2 status, $3 limit, $4 after
WITH bad AS MATERIALIZED (
	SELECT problem FROM (VALUES
		(coalesce($1::text, '') NOT IN ('', 'true', 'false'), 'ready: true or false'),
		(coalesce($2::text, '') NOT IN ('', 'pending', 'rescheduled', 'completed', 'max_attempts', 'paused'),
			'status: pending, rescheduled, completed, max_attempts or paused'),
		(coalesce($3::text, '1') !~ '^[1-9][0-9]{0,4}$' OR $3::text::integer > 20000, 'limit: a number from 1 to 20000'),
		(coalesce($4::text, '0') !~ '^[0-9]{1,18}$', 'after: the number that an answer gave as next')) v (is_bad, problem)
	WHERE is_bad
), setting AS MATERIALIZED (SELECT (redial_setting() ->> 'max_attempts')::integer AS max_attempts), page AS MATERIALIZED (
	SELECT r.id, redial_record(r, s.max_attempts) AS record
	FROM redial_queue r, setting s
	WHERE NOT EXISTS (SELECT FROM bad) AND r.id > CASE WHEN $4::text ~ '^[0-9]{1,18}$' THEN $4::text::bigint ELSE 0 END
	AND ($2::text IS NULL OR $2::text = '' OR r.status = $2::text)
	AND (coalesce($1::text, '') <> 'true' OR redial_is_ready(r.status, r.attempts, r.next_redial_timestamp, s.max_attempts))
	AND ($1::text IS DISTINCT FROM 'false' OR coalesce(redial_is_ready(r.status, r.attempts, r.next_redial_timestamp, s.max_attempts), false) = false)
	ORDER BY r.id LIMIT CASE WHEN $3::text ~ '^[1-9][0-9]{0,4}$' THEN $3::text::integer ELSE 20000 END + 1
), shown AS MATERIALIZED (
	SELECT * FROM page ORDER BY id LIMIT CASE WHEN $3::text ~ '^[1-9][0-9]{0,4}$' THEN $3::text::integer ELSE 20000 END
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status,
	CASE WHEN EXISTS (SELECT FROM bad) THEN jsonb_build_object('success', false, 'error', (SELECT string_agg(problem, '; ') FROM bad))
	ELSE jsonb_build_object('success', true, 'timestamp', iso_utc(now()), 'count', (SELECT count(*) FROM shown),
		'records', coalesce((SELECT jsonb_agg(record ORDER BY id) FROM shown), '[]'))
		|| CASE WHEN (SELECT count(*) FROM page) > (SELECT count(*) FROM shown)
			THEN jsonb_build_object('next', (SELECT max(id)::text FROM shown)) ELSE '{}' END END AS body
