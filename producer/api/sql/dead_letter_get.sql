-- SPDX-License-Identifier: Apache-2.0
-- GET /api/dead-letters/{id}, with the topic and the bytes beside the answer, which tells what they say. $1 id
WITH letter AS MATERIALIZED (
	SELECT d AS row, d.* FROM dead_letters d WHERE d.id = CASE WHEN $1::text ~ '^[0-9]{1,18}$' THEN $1::text::bigint END
)
SELECT 200 AS status, dead_letter_record(l.row) || jsonb_build_object('headers', l.headers, 'value_text', text_of(l.value),
	'value_base64', translate(encode(l.value, 'base64'), E'\n', ''),
	'transitions', (SELECT coalesce(jsonb_agg(transition_record(t) ORDER BY t.id), '[]') FROM transitions t
		WHERE t.entity = 'dead_letter' AND t.entity_id = l.id::text)) AS body,
	l.topic, translate(encode(l.value, 'base64'), E'\n', '') AS value
FROM letter l
UNION ALL
SELECT 404, problem(404, 'no such dead letter'), NULL, NULL WHERE NOT EXISTS (SELECT FROM letter)
