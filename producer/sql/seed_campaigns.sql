-- SPDX-License-Identifier: Apache-2.0
-- The campaign source: contacts that are to be called get their scheduled call, one at a time each. Campaigns that have such
-- contacts share the limit, so that a small one never waits for a huge one; the index is asked for the next campaign, not read
-- through, so what waits costs nothing and nothing waiting is one look.
-- $1 limit
WITH RECURSIVE campaign AS (
	SELECT min(campaign_id) AS id FROM campaign_contacts WHERE schedule_at IS NOT NULL
	UNION ALL
	SELECT (SELECT min(c.campaign_id) FROM campaign_contacts c WHERE c.schedule_at IS NOT NULL AND c.campaign_id > k.id)
	FROM campaign k WHERE k.id IS NOT NULL
), share AS MATERIALIZED (   -- at random where there are more campaigns than the limit: each has its turn soon
	SELECT id, greatest(1, $1::bigint / greatest(1, count(*) OVER ())) AS most FROM campaign WHERE id IS NOT NULL
	ORDER BY random() LIMIT $1::bigint
), wanted AS MATERIALIZED (
	SELECT w.id, s.id AS campaign_id, s.most FROM share s CROSS JOIN LATERAL (
		SELECT c.id FROM campaign_contacts c WHERE c.campaign_id = s.id AND c.schedule_at IS NOT NULL
		ORDER BY c.schedule_at LIMIT s.most FOR NO KEY UPDATE SKIP LOCKED) w
), full_share AS (   -- one that used up its share has more, though others left some of theirs
	SELECT FROM wanted GROUP BY campaign_id, most HAVING count(*) >= most
)
SELECT CASE WHEN EXISTS (SELECT FROM wanted) THEN campaign_schedule(ARRAY(SELECT id FROM wanted)) ELSE 0 END AS seeded,   -- it is planned anew each time
	CASE WHEN EXISTS (SELECT FROM full_share) THEN $1::bigint ELSE (SELECT count(*) FROM wanted) END AS looked
