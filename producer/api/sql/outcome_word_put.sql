-- SPDX-License-Identifier: Apache-2.0
-- PUT /api/outcome-words/{provider}/{word}: what the provider's word, or one that its agents say, means from now on.
-- $1 provider, $2 word, $3 tenant, $4 {"outcome"}, $5 the built-in words
WITH asked AS MATERIALIZED (
	SELECT outcome_word($2::text) AS word, outcome_word($4::jsonb ->> 'outcome') AS outcome, $4::jsonb AS body
), wrong AS MATERIALIZED (
	SELECT field, detail FROM asked a CROSS JOIN LATERAL (
		SELECT 1 AS ord, 'provider' AS field, 'one of ' || array_to_string(providers(), ', ') AS detail
			WHERE $1::text <> ALL (providers())
		UNION ALL
		SELECT 2, 'word', 'a word of 1 to 127 letters, digits, underscores, hyphens, dots and spaces'
			WHERE $2::text !~ '^[A-Za-z0-9][A-Za-z0-9_. -]{0,126}$'
		UNION ALL
		SELECT 4, 'outcome', 'a word of 1 to 63 letters, digits, underscores, hyphens and spaces'
			WHERE coalesce(jsonb_typeof(a.body -> 'outcome') <> 'string' OR a.body ->> 'outcome' !~ '^[A-Za-z0-9][A-Za-z0-9_ -]{0,62}$', true)
		UNION ALL
		SELECT 5, left(key, 100), 'no such setting; known is outcome' FROM jsonb_object_keys(a.body) key WHERE key <> 'outcome'
		UNION ALL
		SELECT 6, 'word', 'there are 4096 words; delete one first' WHERE (SELECT count(*) FROM outcome_words) >= 4096
			AND NOT EXISTS (SELECT FROM outcome_words w WHERE w.provider = $1::text AND w.word = a.word AND w.tenant_id IS NOT DISTINCT FROM $3::text)
	) w ORDER BY ord, field
), put AS (
	INSERT INTO outcome_words (tenant_id, provider, word, outcome)
	SELECT $3::text, $1::text, word, outcome FROM asked WHERE NOT EXISTS (SELECT FROM wrong)
		AND ($3::text IS NULL OR EXISTS (SELECT FROM tenants WHERE id = $3::text))
	ON CONFLICT (coalesce(tenant_id, ''), provider, word) DO UPDATE SET outcome = excluded.outcome, updated_at = now()
	RETURNING *
)
SELECT CASE WHEN EXISTS (SELECT FROM wrong) THEN 422 WHEN EXISTS (SELECT FROM put) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT jsonb_build_object('provider', provider, 'word', word, 'outcome', outcome, 'default',
			built_in_meaning($5::jsonb, provider, word), 'tenant', tenant_id, 'updated_at', iso_utc(updated_at)) FROM put),
		(SELECT problems(jsonb_agg(jsonb_build_object('field', field, 'detail', detail))) FROM wrong HAVING count(*) > 0),
		problem(404, 'there is no such tenant')) AS body
