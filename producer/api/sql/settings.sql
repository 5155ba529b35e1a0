-- SPDX-License-Identifier: Apache-2.0
-- GET /api/settings: what holds for all tenants.
SELECT 200 AS status, settings_shown() AS body
