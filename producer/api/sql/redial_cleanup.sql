-- SPDX-License-Identifier: Apache-2.0
-- POST cleanup: what the retention says, now, of up to 5,000 records; the sweeper does the rest.
SELECT 200 AS status, jsonb_build_object('success', true, 'timestamp', iso_utc(now()), 'message', 'Old records removed',
	'removed', removed, 'closed', closed) AS body
FROM redial_retain(5000, 'operator')
