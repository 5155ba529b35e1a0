-- SPDX-License-Identifier: Apache-2.0
-- The deadline passed without proof either way: an operator decides. The phone stays held; a late result or event still counts.
-- $1 job ids
WITH moved AS (
	UPDATE calls SET status = 'undetermined', error = coalesce(error, 'no proof either way')
	WHERE job_id = ANY ($1::uuid[]) AND status IN ('dialing', 'unknown')
	RETURNING job_id, follow_up_id, error
), held AS (
	UPDATE live v SET state = 'undetermined', next_check_at = 'infinity'
	FROM moved m WHERE v.job_id = m.job_id
), closed AS (
	UPDATE follow_ups f SET status = 'undetermined', reason = 'undetermined', lease_until = NULL
	FROM moved m WHERE f.id = m.follow_up_id AND f.job_id = m.job_id AND f.status = 'dialing'
), noted AS (   -- how often it was looked for, as the live row tells before it goes
	INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, note, actor)
	SELECT 'call', m.job_id::text, v.state, 'undetermined', m.error, v.checks || ' look-ups', 'reconciler'
	FROM moved m JOIN live v USING (job_id)
)
SELECT job_id FROM moved
