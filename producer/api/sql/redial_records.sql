-- SPDX-License-Identifier: Apache-2.0
-- GET records, in parts: those that fit, oldest first, all of them or with a limit a page of them, whose `next` is given when there
-- are more, to be asked for as `after`.
-- $1 "true": ready ones, $2 status, $3 limit, $4 after, $5 where the part before this one ended: its `more`, null for the first
WITH bad AS MATERIALIZED (
	SELECT problem FROM (VALUES
		(coalesce($1::text, '') NOT IN ('', 'true', 'false'), 'ready: true or false'),
		(coalesce($2::text, '') NOT IN ('', 'pending', 'rescheduled', 'completed', 'max_attempts', 'paused'),
			'status: pending, rescheduled, completed, max_attempts or paused'),
		(coalesce($3::text, '1') !~ '^[1-9][0-9]{0,4}$' OR $3::text::integer > 20000, 'limit: a number from 1 to 20000'),
		(coalesce($4::text, '0') !~ '^[0-9]{1,18}$', 'after: the number that an answer gave as next')) v (is_bad, problem)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT (redial_setting() ->> 'max_attempts')::integer AS max_attempts, coalesce($3::text::integer, 2000) AS most,
		coalesce(split_part($5::text, ':', 1), $4::text, '0')::bigint AS after, coalesce(split_part($5::text, ':', 2), '0')::bigint AS former
	WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT r.id, redial_record(r, a.max_attempts) AS record
	FROM asked a CROSS JOIN LATERAL (
		SELECT * FROM redial_queue q
		WHERE q.id > a.after AND ($2::text IS NULL OR $2::text = '' OR q.status = $2::text)
		AND (coalesce($1::text, '') <> 'true' OR redial_is_ready(q.status, q.attempts, q.next_redial_timestamp, a.max_attempts))
		AND ($1::text IS DISTINCT FROM 'false' OR coalesce(redial_is_ready(q.status, q.attempts, q.next_redial_timestamp, a.max_attempts), false) = false)
		ORDER BY q.id LIMIT a.most + 1) r
), shown AS MATERIALIZED (
	SELECT id, record FROM page ORDER BY id LIMIT (SELECT most FROM asked)
), sums AS MATERIALIZED (
	SELECT (SELECT count(*) FROM page) > count(*) AS is_more, max(id) AS last, count(*) AS n, string_agg(record::text, ',' ORDER BY id) AS records
	FROM shown
)
SELECT 422 AS status, jsonb_build_object('success', false, 'error', string_agg(problem, '; '))::text AS body, NULL AS more
FROM bad HAVING count(*) > 0
UNION ALL
SELECT 200, concat(
		CASE WHEN $5::text IS NULL THEN format('{"success": true, "timestamp": "%s", "records": [', iso_utc(now())) WHEN records IS NOT NULL THEN ',' END,
		records,
		CASE WHEN NOT is_more OR $3::text IS NOT NULL THEN format('], "count": %s', former + n) END,
		CASE WHEN is_more AND $3::text IS NOT NULL THEN format(', "next": "%s"', last) END,
		CASE WHEN NOT is_more OR $3::text IS NOT NULL THEN '}' END),
	CASE WHEN is_more AND $3::text IS NULL THEN format('%s:%s', last, former + n) END
FROM asked, sums
