-- SPDX-License-Identifier: Apache-2.0
-- DELETE /api/outcome-words/{provider}/{word}: back to everybody's row for a tenant, else to the built-in meaning. Answers with what
-- holds then; a word without a meaning is an outcome itself. $1 provider, $2 word, $3 tenant, $4 the built-in words
WITH gone AS (
	DELETE FROM outcome_words WHERE provider = $1::text AND word = outcome_word($2::text) AND tenant_id IS NOT DISTINCT FROM $3::text
	RETURNING provider, word, tenant_id
)
SELECT CASE WHEN g.word IS NULL THEN 404 ELSE 200 END AS status, CASE WHEN g.word IS NULL THEN problem(404, 'there is no such word')
	ELSE jsonb_build_object('provider', g.provider, 'word', g.word, 'outcome', coalesce(w.outcome, d.meant, left(g.word, 63)),
		'default', d.meant, 'tenant', NULL, 'updated_at', iso_utc(w.updated_at)) END AS body
FROM (SELECT 1) one LEFT JOIN gone g ON true
CROSS JOIN LATERAL (SELECT built_in_meaning($4::jsonb, g.provider, g.word) AS meant) d
LEFT JOIN outcome_words w ON w.provider = g.provider AND w.word = g.word AND w.tenant_id IS NULL AND g.tenant_id IS NOT NULL
