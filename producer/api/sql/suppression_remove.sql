-- SPDX-License-Identifier: Apache-2.0
-- DELETE suppressions/{phone}: its leads are looked at again. $1 phone, in any form
WITH removed AS (
	DELETE FROM suppressions s WHERE s.tenant_id = request_tenant() AND s.phone = ANY (query_phones($1::text)) RETURNING s
)
SELECT CASE WHEN EXISTS (SELECT FROM removed) THEN 200 ELSE 404 END AS status,
	coalesce((SELECT suppression_record(s) || '{"removed": true}' FROM removed LIMIT 1), problem(404, 'the number is not suppressed')) AS body
