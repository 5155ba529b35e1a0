-- SPDX-License-Identifier: Apache-2.0
-- The table of phone zones is loaded, and all leads' zones follow from it. $1 digest of the table
INSERT INTO settings (key, value) VALUES ('phone_zones', to_jsonb($1::text))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()
RETURNING key
