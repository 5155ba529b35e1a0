-- SPDX-License-Identifier: Apache-2.0
-- PATCH /api/settings: what is named changes. $1 a JSON object
SELECT status, body FROM settings_change($1::jsonb)
