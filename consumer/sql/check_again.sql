-- SPDX-License-Identifier: Apache-2.0
-- These live calls stay as they are and are looked up again.
-- $1 job ids, $2 seconds from now, $3 when a complete list first lacked the call (ms; null: as it is)
UPDATE live v SET next_check_at = now() + r.wait_s * interval '1 second',
	checker = NULL, absent_at = coalesce(v.absent_at, from_ms(r.absent_ms))
FROM unnest($1::uuid[], $2::integer[], $3::bigint[]) r (job_id, wait_s, absent_ms)
WHERE v.job_id = r.job_id AND v.state <> 'undetermined'
