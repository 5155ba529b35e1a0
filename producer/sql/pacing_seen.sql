-- SPDX-License-Identifier: Apache-2.0
-- All held follow-ups are looked at again with this pacing. $1 fingerprint
INSERT INTO settings (key, value) VALUES ('pacing', to_jsonb($1::text))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()
