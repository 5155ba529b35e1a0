-- SPDX-License-Identifier: Apache-2.0
-- GET /api/outcome-words: what words mean which outcome, built in and by rows. $1 the built-in words, $2 provider, $3 tenant
WITH verdict AS MATERIALIZED (
	SELECT CASE WHEN $2::text <> ALL (providers()) THEN 422
		WHEN $3::text IS NOT NULL AND NOT EXISTS (SELECT FROM tenants WHERE id = $3::text) THEN 404 ELSE 200 END AS status
)
SELECT status, CASE status WHEN 200 THEN jsonb_build_object('words', outcome_words_of($1::jsonb, $3::text, $2::text))
	WHEN 404 THEN problem(404, 'there is no such tenant')
	ELSE problems(jsonb_build_array(jsonb_build_object('field', 'provider', 'detail', 'one of ' || array_to_string(providers(), ', ')))) END AS body
FROM verdict
