-- SPDX-License-Identifier: Apache-2.0
-- What the runner noted, in a line.
SELECT coalesce(string_agg(version || '=' || name, ' ' ORDER BY version), '')
FROM carillon.schema_migrations
WHERE checksum ~ '^[0-9a-f]{64}$' AND took_ms >= 0 AND applied_at <= now()
