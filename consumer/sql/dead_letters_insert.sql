-- SPDX-License-Identifier: Apache-2.0
-- Messages that can't be used, as they came.
-- $1 topics, $2 partitions, $3 offsets, $4 keys, $5 reasons, $6 values
INSERT INTO dead_letters (topic, partition, "offset", key, reason, value)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::bytea[])
ON CONFLICT DO NOTHING
