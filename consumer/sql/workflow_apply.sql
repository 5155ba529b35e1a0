-- SPDX-License-Identifier: Apache-2.0
-- What classifiers say: kept, and the pending calls that wait for it move. A message names a call by our job id or the provider's id, a
-- pending call, or a number; one of a call that is not known yet stays parked.
-- $1 accounts and $2 event ids of the batch's messages, $3 also take up those left behind
WITH waiting AS MATERIALIZED (
	SELECT e.* FROM call_events e
	WHERE e.id = ANY (ARRAY(SELECT x.id FROM unnest($1::text[], $2::text[]) b (account, event_id)
		JOIN call_events x ON x.account = b.account AND x.event_id = b.event_id
		UNION SELECT unnest(recorder_batch())
		UNION (SELECT x.id FROM call_events x WHERE x.state = 'parked' AND x.message = 'stage' AND $3::boolean
			AND x.recorded_at > now() - interval '1 hour' ORDER BY x.recorded_at LIMIT 1000)))
	AND e.state = 'parked' AND e.message = 'stage' AND e.body ->> 'entity' = 'pending_call'
	ORDER BY e.id FOR UPDATE SKIP LOCKED
), word AS MATERIALIZED (
	SELECT w.id, CASE WHEN coalesce(w.call_job_id, w.job_id) IS NULL AND w.provider_call_id IS NOT NULL AND w.body ->> 'id' IS NULL THEN 'parked'
		ELSE workflow_classified(w.event_id, w.tenant_id, coalesce(w.call_job_id, w.job_id), w.body ->> 'id', w.phone, w.body ->> 'to',
			coalesce(json_of(w.body ->> 'detail'), '{}'), coalesce(nullif(w.account, ''), 'classifier')) END AS state
	FROM waiting w
)
UPDATE call_events e SET state = w.state, applied_at = now() FROM word w WHERE e.id = w.id AND w.state <> 'parked'
