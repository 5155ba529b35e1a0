-- SPDX-License-Identifier: Apache-2.0
-- POST /functions/v1/scheduler: a run of the workflow's source, now.
SELECT CASE WHEN r.body -> 'error' <> 'null' THEN 409 ELSE 200 END AS status, CASE WHEN r.body -> 'error' <> 'null' THEN problem(409, r.body ->> 'error') ELSE r.body END AS body
FROM (SELECT workflow_run_now() AS body OFFSET 0) r
