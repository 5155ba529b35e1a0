-- SPDX-License-Identifier: Apache-2.0
-- A worker is back under its name: what its former incarnations left claimed, or were looking up, is looked up at once.
-- $1 the name and its slash, $2 this incarnation
UPDATE live v SET next_check_at = now()
FROM calls c
WHERE c.job_id = v.job_id AND v.state <> 'undetermined' AND v.next_check_at > now()
AND (v.state = 'dialing' AND starts_with(c.worker, $1) AND c.worker <> $2 OR starts_with(v.checker, $1) AND v.checker <> $2)
