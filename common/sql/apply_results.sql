-- SPDX-License-Identifier: Apache-2.0
-- Applies dispatch results to ledger, live row, follow-up, lead and account. The dispatcher writes its own, the recorder applies
-- the topic: the second time changes nothing, because a result only moves a call that is dialing, unknown or undetermined.
-- $1 job ids, $2 results, $3 refusals, $4 provider call ids, $5 HTTP statuses, $6 errors, $7 posted_at, $8 answered_at,
-- $9 retry_at (ms), $10 first backoff in s, $11 longest backoff in s, $12 longest call + grace in s, $13 seconds until an
-- unknown call is looked up
WITH given AS MATERIALIZED (
	SELECT DISTINCT ON (job_id) job_id, result, refusal, provider_call_id, http_status, error,
		from_ms(posted_ms) AS posted_at, from_ms(answered_ms) AS answered_at, from_ms(retry_ms) AS retry_at,
		coalesce(result = 'refused' AND refusal IN ('number', 'configuration'), false) AS for_good,
		(result = 'accepted' OR result = 'refused' AND coalesce(refusal, 'retry') IN ('retry', 'number', 'configuration'))::integer AS counts
	-- Side by side in the list: in FROM each array would be stored away first, a row for each of its elements.
	FROM (SELECT unnest($1::uuid[]) AS job_id, unnest($2::text[]) AS result, unnest($3::text[]) AS refusal, unnest($4::text[]) AS provider_call_id,
		unnest($5::integer[]) AS http_status, unnest($6::text[]) AS error, unnest($7::bigint[]) AS posted_ms, unnest($8::bigint[]) AS answered_ms,
		unnest($9::bigint[]) AS retry_ms) r
	ORDER BY job_id, result   -- of several for one job, `accepted` comes first
), verdict AS (   -- locks the calls in the order of their ids; the second of two at once finds them moved
	UPDATE calls c SET
		status = CASE d.result WHEN 'accepted' THEN 'calling' WHEN 'refused' THEN 'rejected'
			WHEN 'not_sent' THEN 'not_dialed' ELSE 'unknown' END,
		provider_call_id = coalesce(d.provider_call_id, c.provider_call_id), http_status = d.http_status,
		refusal = d.refusal, error = d.error, posted_at = coalesce(d.posted_at, c.posted_at), answered_at = d.answered_at
	FROM given d WHERE c.job_id = d.job_id AND c.status IN ('dialing', 'unknown', 'undetermined')
		AND NOT (d.result = 'unknown' AND c.status <> 'dialing')
	RETURNING d.*, c.status, c.follow_up_id, c.lead_id, c.kind, c.account_id, c.provider, c.attempt, c.dial_by
), named AS (   -- an id that another call has stays with that one
	INSERT INTO provider_calls (account_id, provider_call_id, job_id)
	SELECT account_id, provider_call_id, job_id FROM verdict WHERE provider_call_id IS NOT NULL
	ORDER BY account_id, provider_call_id
	ON CONFLICT DO NOTHING
), still_live AS (
	UPDATE live v SET state = CASE d.result WHEN 'accepted' THEN 'calling' ELSE 'unknown' END,
		next_check_at = least(now() + CASE d.result WHEN 'accepted' THEN $12::integer ELSE $13::integer END * interval '1 second',
			CASE WHEN d.result = 'accepted' AND provider_calls_off(d.provider) THEN d.dial_by END)   -- it may still wait there then
	FROM (SELECT job_id, result, provider, dial_by FROM verdict WHERE result IN ('accepted', 'unknown') OFFSET 0) d WHERE v.job_id = d.job_id
), freed AS (
	DELETE FROM live v USING verdict d WHERE v.job_id = d.job_id AND d.result IN ('refused', 'not_sent')
), found AS (   -- an earlier call of the follow-up that was given up is alive after all, and none follows it
	SELECT d.job_id FROM verdict d WHERE d.result <> 'accepted' AND EXISTS (SELECT FROM calls o WHERE o.lead_id = d.lead_id
		AND o.follow_up_id = d.follow_up_id AND o.job_id <> d.job_id AND o.status IN ('calling', 'ringing', 'in_progress', 'completed', 'failed'))
), decided AS (
	UPDATE follow_ups f SET
		status = CASE WHEN d.result = 'accepted' THEN 'completed' WHEN d.for_good THEN 'failed'
			WHEN d.job_id IN (SELECT job_id FROM found) THEN 'cancelled' ELSE 'pending' END,
		completed_at = CASE WHEN d.result = 'accepted' THEN coalesce(d.posted_at, now()) END,
		reason = CASE WHEN d.for_good THEN d.refusal WHEN d.result <> 'accepted' AND d.job_id IN (SELECT job_id FROM found) THEN 'call_found' END,
		last_error = d.error,
		attempts = f.attempts + d.counts,
		lease_until = NULL,
		next_look_at = CASE WHEN d.result = 'accepted' OR d.for_good OR d.job_id IN (SELECT job_id FROM found) THEN NULL
			WHEN d.retry_at IS NOT NULL THEN least(d.retry_at, now() + $11::integer * interval '1 second')
			-- No attempt, and so soon again; but not for hours as soon, where a provider is down: each time is a row of the ledger.
			WHEN d.counts = 0 AND d.refusal IS DISTINCT FROM 'account' THEN now() + least(60, least(5, $10::integer) * 2 ^ (SELECT least(count(*), 9)
				FROM calls o WHERE o.lead_id = d.lead_id AND o.follow_up_id = f.id AND (o.status = 'not_dialed' OR o.refusal = 'backpressure')))
				* (1 + random()) * interval '1 second'
			ELSE now() + least($11::integer, $10::integer * 2 ^ least(f.attempts, 20)) * (0.5 + random() / 2) * interval '1 second' END
	FROM verdict d
	WHERE f.id = d.follow_up_id AND f.job_id = d.job_id AND f.status IN ('dialing', 'undetermined') AND d.result <> 'unknown'
), lead AS (
	UPDATE leads l SET
		stage = CASE WHEN d.called_at IS NOT NULL AND l.stage = 'new' THEN 'contacted' ELSE l.stage END,
		call_date = coalesce(d.called_at, l.call_date), updated_at = now(),
		raw_payload = CASE WHEN l.raw_payload ? 'dispatch' OR jsonb_typeof(l.raw_payload) <> 'object'
			THEN l.raw_payload || jsonb_build_object('dispatch', coalesce(l.raw_payload -> 'dispatch', '{}') || d.dispatch)
			ELSE jsonb_set(l.raw_payload, '{dispatch}', d.dispatch) END
	FROM (SELECT lead_id, CASE result WHEN 'accepted' THEN coalesce(posted_at, now()) END AS called_at, CASE result
			WHEN 'accepted' THEN jsonb_build_object('status', 'completed', 'job_id', job_id::text, 'provider', provider,
				'provider_call_id', provider_call_id, 'dispatched_at', coalesce(posted_at, now()),
				'attempts', attempt - 1 + counts, 'last_error', error)
			ELSE jsonb_build_object('status', CASE WHEN for_good THEN 'failed' ELSE 'pending' END, 'job_id', job_id::text,
				'provider', provider, 'attempts', attempt - 1 + counts, 'last_error', error) END AS dispatch
		FROM verdict WHERE kind IN ('follow_up', 'redial') AND result <> 'unknown' OFFSET 0) d   -- of its own: joins carry whole rows
	WHERE l.id = d.lead_id
), staged AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor, event_id)
	SELECT 'lead', d.lead_id, 'new', 'contacted', 'dispatched', 'recorder', d.job_id
	FROM verdict d JOIN leads l ON l.id = d.lead_id   -- as it was before this statement
	WHERE d.result = 'accepted' AND l.stage = 'new' AND d.kind IN ('follow_up', 'redial')
), breaker AS (
	UPDATE accounts a SET breaker_until = now() + interval '1 minute', breaker_reason = d.error
	FROM (SELECT account_id, max(error) AS error FROM verdict WHERE refusal = 'account' GROUP BY account_id) d
	WHERE a.id = d.account_id
)
SELECT job_id, status FROM verdict
