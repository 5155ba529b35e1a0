-- SPDX-License-Identifier: Apache-2.0
-- What was published to these partitions by these times is applied; noted while the fate of a call is looked for, about which something may
-- be on its way here. Answers with the time of now, for the next note.
-- $1 topics, $2 partitions, $3 the first offset of each that is not applied, $4 those times in milliseconds
WITH noted AS (
	UPDATE applied_offsets a SET read_to = from_ms(g.at)
	FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) g (topic, partition, applied, at)
	WHERE a.topic = g.topic AND a.partition = g.partition AND a.next >= g.applied   -- a server that was failed over to may know less
		AND (SELECT true FROM live WHERE state IN ('dialing', 'unknown') AND (checks > 0 OR lease_until <= now()) LIMIT 1)
)
SELECT to_ms(now()) AS now
