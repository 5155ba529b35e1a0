-- SPDX-License-Identifier: Apache-2.0
-- What was published to these partitions up to a time is applied. Noted while the fate of a call is looked for whose worker can't
-- speak any more: what it said before may be on its way here, and decides. $1 topics, $2 partitions, $3 that time, in milliseconds from now
UPDATE applied_offsets a SET read_to = now() - $3::bigint * interval '1 millisecond'
FROM unnest($1::text[], $2::integer[]) g (topic, partition)
WHERE a.topic = g.topic AND a.partition = g.partition
	AND (SELECT true FROM live WHERE state IN ('dialing', 'unknown') AND (checks > 0 OR lease_until <= now()) LIMIT 1)
