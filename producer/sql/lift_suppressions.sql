-- SPDX-License-Identifier: Apache-2.0
-- Suppressions whose time is over bind nobody: what they held is looked at again. $1 limit
WITH lifted AS (
	DELETE FROM suppressions WHERE expires_at <= now() AND ctid = ANY (ARRAY(
		SELECT ctid FROM suppressions WHERE expires_at <= now()
		ORDER BY expires_at LIMIT $1::bigint FOR UPDATE SKIP LOCKED))
	RETURNING 1
)
SELECT count(*) AS lifted FROM lifted
