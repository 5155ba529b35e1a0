-- SPDX-License-Identifier: Apache-2.0
-- POST suppressions: the number is not called from now on, also where its job is in Kafka. One that is suppressed already stays
-- so until the later of both ends. $1 a JSON object
WITH given AS MATERIALIZED (
	SELECT g, normalize_phone(g ->> 'phone') AS e164 FROM whole_numbers($1::jsonb) g
), bad AS MATERIALIZED (
	SELECT left(m.key, 100) AS field, p.detail
	FROM given CROSS JOIN LATERAL jsonb_each('{"phone": null}' || g) m CROSS JOIN LATERAL (SELECT suppression_problem(m.key, m.value, e164) AS detail) p
	WHERE p.detail IS NOT NULL
), made AS (
	INSERT INTO suppressions AS s (tenant_id, phone, reason, source, expires_at)
	SELECT request_tenant(), e164, coalesce(g ->> 'reason', ''), 'operator', iso_time(g ->> 'expires_at')
	FROM given WHERE NOT EXISTS (SELECT FROM bad)
	ON CONFLICT (phone, tenant_id) DO UPDATE SET created_at = CASE WHEN s.expires_at <= now() THEN now() ELSE s.created_at END,
		expires_at = CASE WHEN s.expires_at IS NOT NULL AND excluded.expires_at IS NOT NULL THEN greatest(s.expires_at, excluded.expires_at) END,
		reason = CASE excluded.reason WHEN '' THEN s.reason ELSE excluded.reason END
	RETURNING s, s.xmax = 0 AS is_new
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 WHEN (SELECT is_new FROM made) THEN 201 ELSE 200 END AS status,
	CASE WHEN EXISTS (SELECT FROM bad) THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
		ELSE (SELECT suppression_record(s) FROM made) END AS body
