-- SPDX-License-Identifier: Apache-2.0
-- What came of telling providers to end calls. Where it failed, it is tried again so often; told or refused, the wish is done with: the
-- call ends when its provider says so.
-- $1 job ids, $2 told, refused or failed, $3 why not, $4 most tries
WITH tried AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[]) t (job_id, result, note)
), noted AS (
	UPDATE live v SET hang_up_tries = v.hang_up_tries + 1,
		hang_up_at = CASE WHEN t.result = 'failed' AND v.hang_up_tries + 1 < $4::integer THEN v.hang_up_at END
	FROM tried t WHERE v.job_id = t.job_id AND v.hang_up_at IS NOT NULL
	RETURNING v.job_id, v.state, v.hang_up_at, t.result, t.note
)
INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, note, actor)
SELECT 'call', job_id::text, state, state, 'hang_up_' || result, nullif(concat(note, CASE WHEN hang_up_at IS NOT NULL THEN '; tried again' END), ''), 'reconciler'
FROM noted
