-- SPDX-License-Identifier: Apache-2.0
-- GET /api/calls as CSV, in parts: all that fit, the youngest first, or as many as the limit says. The parameters of calls_list.sql, and
-- $9 where the part before this one ended: its `more`, null for the first
WITH bad AS MATERIALIZED (
	SELECT history_problems($1, $2, $3, $4, $5, $6, $7, $8) AS problems
), page AS MATERIALIZED (
	SELECT p.*, a.most, history_next(CASE WHEN cardinality(p.keys) > a.most THEN p.keys[a.most] ELSE p.read_to END) AS next
	FROM bad CROSS JOIN LATERAL (SELECT CASE WHEN $7::text IS NULL THEN 1000 ELSE query_limit($7) END AS most) a
	CROSS JOIN LATERAL history_asked($1, $2, $3, $4, $5, $6, a.most + 1, coalesce($9::text, $8)) p WHERE problems IS NULL
), line AS MATERIALIZED (
	SELECT n, concat_ws(',', csv_cell(r ->> 'id'), csv_cell(r ->> 'status'), csv_cell(r ->> 'message'), csv_cell(r ->> 'timestamp'),
		csv_cell(r ->> 'scheduledTime'), csv_cell(r ->> 'contactId'), csv_cell(r ->> 'contactName'), csv_cell(r ->> 'phone'),
		csv_cell(r ->> 'campaignId'), csv_cell(r ->> 'campaignName'), csv_cell(r ->> 'attempt'), csv_cell(r ->> 'outcome'),
		csv_cell(r ->> 'durationSeconds'), csv_cell(r ->> 'provider'), csv_cell(r ->> 'account'), csv_cell(r ->> 'providerCallId'),
		csv_cell(r ->> 'dialedAt'), csv_cell(r ->> 'endedAt'), csv_cell(r ->> 'endedReason'), csv_cell(r ->> 'error')) || E'\r\n' AS text
	FROM page p CROSS JOIN LATERAL unnest(p.keys[1:p.most]) WITH ORDINALITY k (at, job_id, follow_up_id, lead_id, n)
	CROSS JOIN LATERAL (SELECT history_record(ROW(k.at, k.job_id, k.follow_up_id, k.lead_id)::history_key) AS r OFFSET 0) x
	WHERE r IS NOT NULL
)
SELECT 200 AS status, concat(CASE WHEN $9::text IS NULL THEN
		E'id,status,message,timestamp,scheduledTime,contactId,contactName,phone,campaignId,campaignName,attempt,outcome,durationSeconds,provider,'
		'account,providerCallId,dialedAt,endedAt,endedReason,error\r\n' END, (SELECT string_agg(text, '' ORDER BY n) FROM line)) AS body,
	CASE WHEN $7::text IS NULL THEN p.next END AS more
FROM page p
UNION ALL
SELECT 422, problems(bad.problems)::text, NULL FROM bad WHERE bad.problems IS NOT NULL
