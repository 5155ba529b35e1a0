-- SPDX-License-Identifier: Apache-2.0
-- A worker is back under its name: what its former incarnations left claimed is looked up at once.
-- $1 the name and its slash, $2 this incarnation
UPDATE live v SET next_check_at = now()
FROM calls c
WHERE v.state = 'dialing' AND c.job_id = v.job_id AND starts_with(c.worker, $1) AND c.worker <> $2
