-- SPDX-License-Identifier: Apache-2.0
-- Is everything stopped: by the kill switch, by a changed timeline, or tenant by tenant?
SELECT all_stopped()
	OR NOT EXISTS (SELECT FROM tenants WHERE stopped_at IS NULL) AS stopped
