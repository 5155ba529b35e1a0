-- SPDX-License-Identifier: Apache-2.0
-- POST pending-calls/replay: those that ended without success begin anew; of all, the oldest thousand, but for those that
-- somebody called off, whose call is undetermined, or after whose outcome nobody is to call: they are named by their ids or their reason.
-- $1 {"ids" | "all", "reason"}
WITH given AS MATERIALIZED (
	SELECT coalesce(g -> 'all' = 'true', false) AS everything, g ->> 'reason' AS reason, g ? 'ids' AS has_ids,
		CASE jsonb_typeof(g -> 'ids') WHEN 'array' THEN g -> 'ids' ELSE '[]' END AS ids
	FROM (SELECT $1::jsonb AS g) j
), bad AS MATERIALIZED (
	SELECT left(key, 100) AS field, 'no such member' AS detail FROM jsonb_object_keys($1::jsonb) key WHERE key NOT IN ('ids', 'all', 'reason')
	UNION ALL
	SELECT 'all', 'true or false' WHERE jsonb_typeof($1::jsonb -> 'all') <> 'boolean'
	UNION ALL
	SELECT 'reason', 'a failure_reason, with all' FROM given WHERE jsonb_typeof($1::jsonb -> 'reason') <> 'string' OR reason IS NOT NULL AND NOT everything
	UNION ALL
	SELECT 'ids', 'give either ids or "all": true' FROM given WHERE has_ids = everything
	UNION ALL
	SELECT 'ids', '1 to 1000 ids of pending calls' FROM given WHERE has_ids AND (jsonb_array_length(ids) NOT BETWEEN 1 AND 1000
		OR EXISTS (SELECT FROM jsonb_array_elements(ids) e WHERE jsonb_typeof(e) <> 'string' OR query_uuid(e #>> '{}') IS NULL))
), asked AS MATERIALIZED (
	SELECT p.id FROM given CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN EXISTS (SELECT FROM bad) THEN '[]' ELSE ids END) e
	JOIN pending_calls p ON p.id = query_uuid(e #>> '{}')
	UNION ALL
	(SELECT p.id FROM given JOIN pending_calls p ON p.workflow_state IN ('failed', 'classification_failed')
		AND CASE WHEN given.reason IS NULL THEN coalesce(p.failure_reason, '') NOT IN ('cancelled', 'undetermined')
				AND outcome_action(p.tenant_id, upper(coalesce(p.failure_reason, ''))) NOT IN ('stop', 'suppress')
			ELSE given.reason IN (p.failure_reason, p.state_reason) END
	 WHERE given.everything AND NOT EXISTS (SELECT FROM bad) ORDER BY p.ordinal LIMIT 1000)
), done AS MATERIALIZED (
	SELECT pending_calls_replay(ARRAY(SELECT id FROM asked)) AS n
)
SELECT CASE WHEN EXISTS (SELECT FROM bad) THEN 422 ELSE 200 END AS status,
	CASE WHEN EXISTS (SELECT FROM bad) THEN problems((SELECT jsonb_agg(jsonb_build_object('field', field, 'detail', detail)) FROM bad))
	ELSE jsonb_build_object('replayed', n, 'skipped', CASE WHEN (SELECT has_ids FROM given) THEN (SELECT jsonb_array_length(ids) FROM given) - n ELSE 0 END) END AS body
FROM done
