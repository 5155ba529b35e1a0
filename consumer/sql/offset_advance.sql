-- SPDX-License-Identifier: Apache-2.0
-- Moves the partitions of a batch on, if each stands where this recorder took it from; else somebody else has applied them,
-- and the division by zero (22012) undoes the batch.
-- $1 topics, $2 partitions, $3 from, $4 to
WITH batch AS MATERIALIZED (
	SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bigint[]) b (topic, partition, from_offset, to_offset)
), held AS MATERIALIZED (
	SELECT a.topic, a.partition
	FROM applied_offsets a JOIN batch b ON b.topic = a.topic AND b.partition = a.partition
	WHERE a.next = b.from_offset
	ORDER BY a.topic, a.partition FOR UPDATE OF a   -- one order for all recorders
), moved AS (
	UPDATE applied_offsets a SET next = b.to_offset
	FROM batch b JOIN held h ON h.topic = b.topic AND h.partition = b.partition
	WHERE a.topic = b.topic AND a.partition = b.partition
	RETURNING a.partition
)
SELECT 1 / (count(*) = cardinality($1::text[]))::integer AS moved FROM moved
