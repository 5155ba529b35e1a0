-- SPDX-License-Identifier: Apache-2.0
-- Kafka has acknowledged every job of these claims. $1 claim ids
UPDATE claims SET published_at = now() WHERE id = ANY ($1::bigint[])
