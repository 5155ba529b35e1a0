-- SPDX-License-Identifier: Apache-2.0
-- Makes carillon.phone_zones the given table. $1 prefixes, $2 their zones, separated by '&'
WITH given AS MATERIALIZED (
	SELECT prefix, string_to_array(zones, '&') AS zones FROM unnest($1::text[], $2::text[]) g (prefix, zones)
), dropped AS (
	DELETE FROM phone_zones WHERE prefix NOT IN (SELECT prefix FROM given)
), put AS (
	INSERT INTO phone_zones (prefix, zones) SELECT prefix, zones FROM given
	ON CONFLICT (prefix) DO UPDATE SET zones = excluded.zones WHERE phone_zones.zones <> excluded.zones
	RETURNING 1
)
SELECT count(*) AS changed FROM put
