-- SPDX-License-Identifier: Apache-2.0
-- GET config
SELECT 200 AS status, jsonb_build_object('success', true, 'timestamp', iso_utc(now()), 'config', redial_config()) AS body
