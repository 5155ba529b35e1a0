-- SPDX-License-Identifier: Apache-2.0
-- Moves leads to the stages that messages name: of a call that was found, or, where the message speaks of no call, by the lead's
-- own id. The latest one counts; one older than what was applied before is history, as is what names nothing we know.
-- $1 accounts and $2 event ids of the batch's messages
WITH ready AS MATERIALIZED (
	SELECT s.*, s.lead_id IS NOT NULL AND NOT s.overtaken
		AND row_number() OVER (PARTITION BY s.lead_id ORDER BY s.at DESC, s.event_id DESC) = 1 AS counts
	FROM (SELECT e.id, e.event_id, m.at, e.body ->> 'to' AS to_state, e.body ->> 'reason' AS reason, l.id AS lead_id, l.stage,
			EXISTS (SELECT FROM transitions t WHERE t.entity = 'lead' AND t.entity_id = l.id::text
				AND t.actor = 'recorder' AND t.reason <> 'dispatched' AND t.at > m.at) AS overtaken
		FROM (SELECT id FROM call_events
			WHERE id = ANY (recorder_batch()) AND state = 'parked' AND call_job_id IS NOT NULL AND message = 'stage'
			UNION
			SELECT x.id FROM unnest($1::text[], $2::text[]) b (account, event_id)
				JOIN call_events x ON x.account = b.account AND x.event_id = b.event_id
			WHERE x.state = 'parked' AND x.message = 'stage' AND x.job_id IS NULL AND x.provider_call_id IS NULL
				AND x.body ? 'id') w
		JOIN call_events e USING (id)
		CROSS JOIN LATERAL (SELECT coalesce(e.occurred_at, e.received_at, e.recorded_at) AS at) m
		LEFT JOIN calls c ON c.job_id = e.call_job_id
		LEFT JOIN leads l ON e.body ->> 'entity' = 'lead' AND l.tenant_id = e.tenant_id
			AND l.id = coalesce(c.lead_id, CASE WHEN e.body ->> 'id' ~ '^[0-9]{1,18}$' THEN (e.body ->> 'id')::bigint END)
		WHERE c.job_id IS NULL OR c.status NOT IN ('dialing', 'unknown', 'undetermined')) s
), moved AS (
	UPDATE leads l SET stage = r.to_state, updated_at = now()
	FROM ready r WHERE r.counts AND l.id = r.lead_id AND l.stage <> r.to_state
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor, event_id, at)
	SELECT 'lead', lead_id::text, stage, to_state, coalesce(reason, ''), 'recorder', event_id, at
	FROM ready WHERE counts AND stage <> to_state
)
UPDATE call_events e SET state = CASE WHEN r.counts THEN 'applied' ELSE 'history' END, applied_at = now()
FROM ready r WHERE e.id = r.id
