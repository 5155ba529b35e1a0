-- SPDX-License-Identifier: Apache-2.0
-- The lead source: a lead in an active stage that was never called gets an immediate follow-up, unless one of this source
-- is open or was final for good. Each lead is looked at once; what changes it (leads_look_again) clears seeded_at. An array
-- and a scalar sub-select, not IN and EXISTS: planned on small tables, those would be run again for every lead there is.
-- $1 limit
WITH looked AS (
	UPDATE leads l SET seeded_at = now()
	WHERE id = ANY (ARRAY(SELECT id FROM leads WHERE seeded_at IS NULL ORDER BY id LIMIT $1::bigint FOR UPDATE SKIP LOCKED))
	RETURNING l.id, l.tenant_id, lead_is_uncalled(l) AS uncalled
), seeded AS (
	INSERT INTO follow_ups (tenant_id, lead_id, kind, lane_id, source, source_id, occurrence, due_at, next_look_at)
	SELECT l.tenant_id, l.id, 'follow_up', n.id, 'lead', l.id::text,
		(SELECT count(*) FROM follow_ups f WHERE f.lead_id = l.id AND f.source = 'lead')::text, now(), now()
	FROM looked l JOIN lanes n ON n.tenant_id = l.tenant_id AND n.name = 'follow_ups'
	WHERE l.uncalled AND (SELECT true FROM follow_ups f
		WHERE f.lead_id = l.id AND blocks_seed(f) LIMIT 1) IS NULL
	ON CONFLICT (source, source_id, occurrence) DO NOTHING
	RETURNING 1
)
SELECT (SELECT count(*) FROM seeded) AS seeded, (SELECT count(*) FROM looked) AS looked
