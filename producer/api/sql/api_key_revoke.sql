-- SPDX-License-Identifier: Apache-2.0
-- DELETE api-keys/{id}: refused from now on, in every process within about a second. Again it changes nothing. $1 id
WITH revoked AS (
	UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id = query_id($1::text) RETURNING api_keys
)
SELECT CASE WHEN EXISTS (SELECT FROM revoked) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT api_key_record(api_keys) FROM revoked), problem(404, 'no such key')) AS body
