-- SPDX-License-Identifier: Apache-2.0
-- GET follow-ups: those that fit, oldest first; `next` is given when there are more, to be asked for as `after`.
-- $1 lead_id, $2 status, $3 lane, $4 due before, $5 due after, $6 limit, $7 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('lead_id', $1::text IS NOT NULL AND query_id($1) IS NULL, 'a number'),
		('status', $2::text NOT IN ('pending', 'queued', 'dialing', 'completed', 'skipped', 'cancelled', 'failed', 'undetermined'),
			'pending, queued, dialing, completed, skipped, cancelled, failed or undetermined'),
		('due_before', $4::text IS NOT NULL AND query_time($4) IS NULL, 'a time with its offset, such as 2026-03-01T15:00:00Z'),
		('due_after', $5::text IS NOT NULL AND query_time($5) IS NULL, 'a time with its offset, such as 2026-03-01T15:00:00Z'),
		('limit', $6::text IS NOT NULL AND query_limit($6) IS NULL, 'a number from 1 to 1000'),
		('after', $7::text IS NOT NULL AND query_id($7) IS NULL, 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($6) AS most, coalesce(query_id($7), 0) AS after, query_id($1) AS lead, query_time($4) AS due_before,
		query_time($5) AS due_after, ARRAY(SELECT id FROM lanes WHERE name = $3::text) AS lane_ids
	WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT p.* FROM asked a CROSS JOIN LATERAL (
		SELECT f.id, follow_up_record(f) AS record FROM follow_ups f
		WHERE f.id > a.after AND (a.lead IS NULL OR f.id = ANY (ARRAY(SELECT id FROM follow_ups WHERE lead_id = a.lead)))
		AND ($2::text IS NULL OR f.status = $2) AND ($3::text IS NULL OR f.lane_id = ANY (a.lane_ids))
		AND (a.due_before IS NULL OR f.due_at < a.due_before) AND (a.due_after IS NULL OR f.due_at > a.due_after)
		ORDER BY f.id LIMIT a.most + 1) p
)
SELECT a.status, a.body
FROM page_answer('follow_ups', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), (SELECT most FROM asked),
	ARRAY(SELECT id::text FROM page ORDER BY id), ARRAY(SELECT record FROM page ORDER BY id)) a
