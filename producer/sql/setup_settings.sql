-- SPDX-License-Identifier: Apache-2.0
-- Settings that the environment gives at every start. $1 LEAD_WINDOW, $2 UNKNOWN_ZONE
INSERT INTO settings (key, value) VALUES
	('lead_window', jsonb_build_object('start', split_part($1::text, '-', 1), 'end', split_part($1::text, '-', 2))),
	('unknown_zone', to_jsonb($2::text))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, updated_at = now()
WHERE settings.value <> excluded.value
