-- SPDX-License-Identifier: Apache-2.0
-- Where the recorder goes on in each partition. A partition never read before begins at the start of its log.
-- $1 topics, $2 partitions
WITH given AS (
	SELECT * FROM unnest($1::text[], $2::integer[]) g (topic, partition)
), fresh AS (
	INSERT INTO applied_offsets (topic, partition, next)
	SELECT topic, partition, 0 FROM given ORDER BY topic, partition
	ON CONFLICT DO NOTHING
	RETURNING topic, partition, next
)
SELECT topic, partition, next FROM fresh
UNION ALL
SELECT a.topic, a.partition, a.next FROM applied_offsets a JOIN given g ON g.topic = a.topic AND g.partition = a.partition
