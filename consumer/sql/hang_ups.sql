-- SPDX-License-Identifier: Apache-2.0
-- What came of telling providers to end calls, or to take back what waits there. Where an operator's wish failed, it is tried again so
-- often; told or refused, it is done with: the call ends when its provider says so.
-- $1 job ids, $2 hang_up or call_off, $3 told, refused or failed, $4 why not, $5 most tries
WITH tried AS MATERIALIZED (
	SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) t (job_id, what, result, note)
), noted AS (
	UPDATE live v SET hang_up_tries = v.hang_up_tries + (t.what = 'hang_up')::integer,
		hang_up_at = CASE WHEN t.what = 'call_off' OR t.result = 'failed' AND v.hang_up_tries + 1 < $5::integer THEN v.hang_up_at END
	FROM tried t WHERE v.job_id = t.job_id AND (v.hang_up_at IS NOT NULL OR t.what = 'call_off')
	RETURNING v.job_id, v.state, v.hang_up_at, t.what, t.result, t.note
)
INSERT INTO transitions (entity, entity_id, from_state, to_state, reason, note, actor)
SELECT 'call', job_id::text, state, state, what || '_' || result,
	CASE WHEN what = 'call_off' THEN concat_ws(': ', 'it waited at its provider until its window closed', nullif(note, ''))
		ELSE nullif(concat(note, CASE WHEN hang_up_at IS NOT NULL THEN '; tried again' END), '') END,
	'reconciler'
FROM noted
