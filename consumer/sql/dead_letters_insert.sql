-- SPDX-License-Identifier: Apache-2.0
-- Messages that can't be used, as they came; one that is known already stays as it is.
-- $1 topics, $2 partitions, $3 offsets, $4 keys, $5 reasons, $6 values, $7 headers
INSERT INTO dead_letters (topic, partition, "offset", key, reason, value, headers)
SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::bytea[], $5::text[], $6::bytea[], $7::jsonb[])
ON CONFLICT DO NOTHING
