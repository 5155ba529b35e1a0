-- SPDX-License-Identifier: Apache-2.0
-- GET pending-calls: those that fit, oldest first, of one phone by its index; `next` is given when there are more, to be asked for as `after`.
-- $1 state, $2 part of a name, clinic or exam id, $3 phone, $4 limit, $5 after
WITH bad AS MATERIALIZED (
	SELECT field, detail FROM (VALUES
		('state', $1::text IS NOT NULL AND NOT EXISTS (SELECT FROM workflow_arrows a WHERE $1 IN (a.state, a.next)), 'a state of the workflow, such as failed'),
		('phone', $3::text IS NOT NULL AND query_phones($3) = '{}', 'a number, such as +12125550101'),
		('limit', $4::text IS NOT NULL AND query_limit($4) IS NULL, 'a number from 1 to 1000'),
		('after', $5::text IS NOT NULL AND query_id($5) IS NULL, 'what an answer gave as next')) v (field, is_bad, detail)
	WHERE is_bad
), asked AS MATERIALIZED (
	SELECT query_limit($4) AS most, coalesce(query_id($5), 0) AS after WHERE NOT EXISTS (SELECT FROM bad)
), page AS MATERIALIZED (
	SELECT p.* FROM asked a CROSS JOIN LATERAL (
		(SELECT p.ordinal, pending_call_record(p) AS record FROM pending_calls p
		WHERE $3::text IS NULL AND p.ordinal > a.after AND ($1::text IS NULL OR p.workflow_state = $1)
		AND ($2::text IS NULL OR position(lower($2) IN lower(concat_ws(' ', p.employee_name, p.clinic_name, p.exam_id))) > 0)
		ORDER BY p.ordinal LIMIT a.most + 1)
		UNION ALL
		(SELECT p.ordinal, pending_call_record(p) FROM pending_calls p
		WHERE p.ordinal = ANY (ARRAY(SELECT o.ordinal FROM pending_calls o WHERE $3::text IS NOT NULL AND o.phone_e164 = ANY (query_phones($3))))
		AND p.ordinal > a.after AND ($1::text IS NULL OR p.workflow_state = $1)
		AND ($2::text IS NULL OR position(lower($2) IN lower(concat_ws(' ', p.employee_name, p.clinic_name, p.exam_id))) > 0)
		ORDER BY p.ordinal LIMIT a.most + 1)) p
)
SELECT a.status, a.body
FROM page_answer('pending_calls', (SELECT jsonb_agg(to_jsonb(b)) FROM bad b), (SELECT most FROM asked),
	ARRAY(SELECT ordinal::text FROM page ORDER BY ordinal), ARRAY(SELECT record FROM page ORDER BY ordinal)) a
