-- SPDX-License-Identifier: Apache-2.0
-- What has become of the jobs of these claims so far. A job that was held has left its claim. $1 claim ids
WITH job AS MATERIALIZED (
	SELECT f.status, CASE WHEN f.status NOT IN ('queued', 'dialing', 'completed') OR c.status = 'unknown'
		THEN coalesce(c.refusal, f.reason, CASE c.status WHEN 'not_dialed' THEN 'not_sent' ELSE c.status END, 'unknown') END AS failure
	FROM follow_ups f LEFT JOIN calls c ON c.job_id = f.job_id
	WHERE f.claim_id = ANY ($1::bigint[])
)
SELECT count(*) AS jobs, count(*) FILTER (WHERE status = 'completed') AS dispatched,
	count(*) FILTER (WHERE status IN ('queued', 'dialing') AND failure IS NULL) AS waiting,
	(SELECT coalesce(jsonb_object_agg(failure, n), '{}') FROM (SELECT failure, count(*) AS n FROM job
		WHERE failure IS NOT NULL GROUP BY failure) f) AS failed
FROM job
