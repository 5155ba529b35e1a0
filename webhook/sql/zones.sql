-- SPDX-License-Identifier: Apache-2.0
-- When the clocks change in the zones of accounts' times, for zones_add(): the offset from UTC of each, and from when on, for 400
-- days around today. Found by the day first, then by the quarter of an hour. $1 the environment's zone
WITH zone AS MATERIALIZED (
	SELECT z.name FROM carillon.time_zones z
	WHERE z.name = $1::text OR z.name IN (SELECT settings ->> 'time_zone' FROM carillon.accounts)
	ORDER BY z.name LIMIT 64
), "day" AS (
	SELECT z.name, d.at, o.s, lag(o.s) OVER (PARTITION BY z.name ORDER BY d.at) AS was
	FROM zone z
	CROSS JOIN (SELECT date_trunc('day', now(), 'UTC') + n * interval '24 hours' AS at FROM generate_series(-400, 400) n) d
	CROSS JOIN LATERAL (SELECT extract(epoch FROM (d.at AT TIME ZONE z.name) - (d.at AT TIME ZONE 'UTC'))::bigint AS s) o
)
SELECT name, 0::bigint AS from_ms, s AS offset_s FROM "day" WHERE was IS NULL
UNION ALL
SELECT d.name, (extract(epoch FROM min(q.at)) * 1000)::bigint, d.s
FROM "day" d
CROSS JOIN LATERAL (SELECT d.at - n * interval '15 minutes' AS at FROM generate_series(0, 96) n) q
WHERE d.was <> d.s AND extract(epoch FROM (q.at AT TIME ZONE d.name) - (q.at AT TIME ZONE 'UTC')) = d.s
GROUP BY d.name, d.at, d.s
ORDER BY name, from_ms
