-- SPDX-License-Identifier: Apache-2.0
-- POST classifications/{phone}/expire: the number is classified anew before its next call. $1 phone
WITH expired AS (
	UPDATE call_classifications c SET is_active = false, classification_expires_at = least(c.classification_expires_at, now())
	WHERE c.phone_e164 = ANY (query_phones($1::text)) AND c.tenant_id = request_tenant() AND c.is_active
	RETURNING 1
), known AS MATERIALIZED (
	SELECT EXISTS (SELECT FROM call_classifications c WHERE c.phone_e164 = ANY (query_phones($1::text)) AND c.tenant_id = request_tenant()) AS is_known
)
SELECT CASE WHEN is_known THEN 200 ELSE 404 END AS status, CASE WHEN is_known THEN jsonb_build_object('expired', (SELECT count(*) FROM expired))
	ELSE problem(404, 'the number has no classification') END AS body
FROM known
