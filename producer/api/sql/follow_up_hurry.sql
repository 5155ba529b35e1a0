-- SPDX-License-Identifier: Apache-2.0
-- POST follow-ups/{id}/now. $1 id
SELECT c.status, CASE c.status WHEN 404 THEN problem(404, 'no such follow-up')
	WHEN 409 THEN problem(409, format('the follow-up is %s', (c.entry).status))
	ELSE follow_up_record(c.entry) END AS body
FROM follow_up_hurry(query_id($1::text)) c
