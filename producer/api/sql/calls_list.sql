-- SPDX-License-Identifier: Apache-2.0
-- GET /api/calls: those that fit, the youngest first; `next` is to be asked for as `after`. A page may be shorter than its limit and
-- have a `next`: of a search that fits few of many.
-- $1 campaign, $2 status, $3 from, $4 to, $5 a part of the contact's name or number, $6 lead id, $7 limit, $8 after
WITH bad AS MATERIALIZED (
	SELECT history_problems($1, $2, $3, $4, $5, $6, $7, $8) AS problems
), page AS MATERIALIZED (
	SELECT p.*, query_limit($7) AS most FROM bad
	CROSS JOIN LATERAL history_asked($1, $2, $3, $4, $5, $6, query_limit($7) + 1, $8) p WHERE problems IS NULL
)
SELECT 200 AS status, jsonb_build_object('calls', (SELECT coalesce(jsonb_agg(record ORDER BY n), '[]') FROM (
		SELECT k.n, history_record(ROW(k.at, k.job_id, k.follow_up_id, k.lead_id)::history_key) AS record
		FROM unnest(p.keys[1:p.most]) WITH ORDINALITY k (at, job_id, follow_up_id, lead_id, n) OFFSET 0) r WHERE record IS NOT NULL),
	'next', history_next(CASE WHEN cardinality(p.keys) > p.most THEN p.keys[p.most] ELSE p.read_to END)) AS body
FROM page p
UNION ALL
SELECT 422, problems(bad.problems) FROM bad WHERE bad.problems IS NOT NULL
