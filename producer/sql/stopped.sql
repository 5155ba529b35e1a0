-- SPDX-License-Identifier: Apache-2.0
-- Is everything stopped: by the kill switch, or tenant by tenant?
SELECT coalesce((SELECT value = 'true' FROM settings WHERE key = 'stopped'), false)
	OR NOT EXISTS (SELECT FROM tenants WHERE stopped_at IS NULL) AS stopped
