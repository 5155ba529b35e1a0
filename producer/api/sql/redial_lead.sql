-- SPDX-License-Identifier: Apache-2.0
-- POST lead/{lead_id}/pause and resume, DELETE lead/{lead_id}: the record of this lead and number. Triggers call off what was
-- made of it. $1 pause, resume or remove, $2 lead id, $3 phone: digits, with or without country code and "+"
WITH asked AS MATERIALIZED (
	SELECT regexp_replace(coalesce($3::text, ''), '[^0-9]', '', 'g') AS digits, (redial_setting() ->> 'max_attempts')::integer AS max_attempts
), found AS MATERIALIZED (
	SELECT r.id FROM redial_queue r, asked a
	WHERE r.lead_id = $2::text AND a.digits <> '' AND r.phone_digits IN (a.digits, '1' || a.digits, CASE WHEN a.digits ~ '^1[0-9]{10}$' THEN substr(a.digits, 2) END)
	ORDER BY r.id LIMIT 1
), own AS MATERIALIZED (   -- its follow-up is locked first, as by a claim, whose refusal goes on to the record
	SELECT f.id FROM found r JOIN follow_ups f ON f.source = 'redial' AND f.source_id = r.id::text
	WHERE f.status IN ('pending', 'queued') ORDER BY f.id FOR UPDATE OF f
), was AS MATERIALIZED (
	SELECT r.* FROM redial_queue r WHERE r.id = (SELECT id FROM found) AND (SELECT count(*) FROM own) >= 0 FOR UPDATE OF r
), paused AS (
	UPDATE redial_queue r SET status = 'paused', updated_at = now() FROM was w
	WHERE r.id = w.id AND $1::text = 'pause' AND w.status IN ('pending', 'rescheduled')
	RETURNING r.*
), resumed AS (   -- at the limit it stays there
	UPDATE redial_queue r SET updated_at = now(), seeded_for = NULL,
		status = CASE WHEN w.scheduled_callback_time > now() AND w.attempts < 2 * a.max_attempts THEN 'rescheduled' WHEN w.attempts >= a.max_attempts THEN 'max_attempts' ELSE 'pending' END,
		next_redial_timestamp = CASE WHEN w.scheduled_callback_time > now() AND w.attempts < 2 * a.max_attempts THEN w.scheduled_callback_time
			WHEN w.attempts >= a.max_attempts THEN NULL ELSE greatest(w.next_redial_timestamp, now()) END
	FROM was w, asked a WHERE r.id = w.id AND $1::text = 'resume' AND w.status = 'paused'
	RETURNING r.*
), removed AS (
	DELETE FROM redial_queue r USING was w WHERE r.id = w.id AND $1::text = 'remove' RETURNING r.*
), changed AS MATERIALIZED (
	SELECT * FROM paused UNION ALL SELECT * FROM resumed UNION ALL SELECT * FROM removed
), noted AS (
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, actor)
	SELECT 'redial', w.id::text, w.status, CASE $1::text WHEN 'remove' THEN 'removed' ELSE i.status END, $1::text, 'operator'
	FROM was w JOIN changed i USING (id)
), verdict AS MATERIALIZED (
	SELECT CASE WHEN digits = '' THEN 422 WHEN NOT EXISTS (SELECT FROM was) THEN 404
		WHEN $1::text <> 'remove' AND (SELECT status FROM was) IN ('completed', 'max_attempts') THEN 409 ELSE 200 END AS status
	FROM asked
)
SELECT v.status, CASE v.status
	WHEN 422 THEN jsonb_build_object('success', false, 'error', 'phone: give the record''s number as ?phone=+15551234567')
	WHEN 404 THEN jsonb_build_object('success', false, 'error', format('no record of lead %s with that phone', left($2::text, 100)))
	WHEN 409 THEN jsonb_build_object('success', false, 'error', format('the record is final: %s', (SELECT status FROM was)))
	ELSE jsonb_build_object('success', true, 'timestamp', iso_utc(now()), 'message', 'Lead ' || left($2::text, 100) || CASE $1::text
		WHEN 'pause' THEN ' paused' WHEN 'resume' THEN ' resumed' ELSE ' removed from the redial queue' END,
		'record', (SELECT redial_record(r, a.max_attempts) FROM (SELECT * FROM changed UNION ALL
			SELECT * FROM was WHERE NOT EXISTS (SELECT FROM changed)) r, asked a)) END AS body
FROM verdict v
