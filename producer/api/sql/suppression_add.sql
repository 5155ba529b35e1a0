-- SPDX-License-Identifier: Apache-2.0
-- POST suppressions: the number is not called from now on, also where its job is in Kafka. One that is suppressed already stays
-- so until the later of both ends. $1 a JSON object
WITH bad AS MATERIALIZED (
	SELECT 'phone' AS field, suppression_problem('phone', $1::jsonb -> 'phone') AS detail WHERE suppression_problem('phone', $1::jsonb -> 'phone') IS NOT NULL
	UNION ALL
	SELECT left(m.key, 100), p.detail FROM jsonb_each($1::jsonb) m CROSS JOIN LATERAL (SELECT suppression_problem(m.key, m.value) AS detail) p
	WHERE m.key <> 'phone' AND p.detail IS NOT NULL
), made AS (
	INSERT INTO suppressions AS s (tenant_id, phone, reason, source, expires_at)
	SELECT 'default', normalize_phone(g ->> 'phone'), coalesce(g ->> 'reason', ''), 'operator', iso_time(g ->> 'expires_at')
	FROM (SELECT $1::jsonb AS g) given WHERE NOT EXISTS (SELECT FROM bad)
	ON CONFLICT (phone, tenant_id) DO UPDATE SET created_at = CASE WHEN s.expires_at <= now() THEN now() ELSE s.created_at END,
		expires_at = CASE WHEN s.expires_at IS NOT NULL AND excluded.expires_at IS NOT NULL THEN greatest(s.expires_at, excluded.expires_at) END,
		reason = CASE excluded.reason WHEN '' THEN s.reason ELSE excluded.reason END
	RETURNING s, s.xmax = 0 AS is_new
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 WHEN (SELECT is_new FROM made) THEN 201 ELSE 200 END AS status,
	CASE WHEN EXISTS (SELECT FROM bad) THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
		ELSE (SELECT suppression_record(s) FROM made) END AS body
