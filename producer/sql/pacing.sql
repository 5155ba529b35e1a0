-- SPDX-License-Identifier: Apache-2.0
-- A fingerprint of what decides when held follow-ups may be dialed, and the one they were last looked at with.
SELECT md5((SELECT coalesce(string_agg(key || value, ',' ORDER BY key), '') FROM settings WHERE key IN ('lead_window', 'unknown_zone'))
	|| (SELECT coalesce(string_agg(concat_ws('|', id, active, window_start, window_end, days, time_zone, use_lead_window,
		cap_24h, cap_7d), ',' ORDER BY id), '') FROM lanes)
	|| (SELECT coalesce(string_agg(tenant_id || day, ',' ORDER BY tenant_id, day), '') FROM holidays)) AS current,
	(SELECT value #>> '{}' FROM settings WHERE key = 'pacing') AS seen
