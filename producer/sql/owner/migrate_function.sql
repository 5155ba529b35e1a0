-- SPDX-License-Identifier: Apache-2.0
-- The one way to note a migration, so that processes that never migrate need no right to the table.
CREATE FUNCTION carillon.note_migration(version integer, name text, checksum text, took_ms bigint) RETURNS void
LANGUAGE sql AS 'INSERT INTO carillon.schema_migrations (version, name, checksum, took_ms) VALUES ($1, $2, $3, $4)'
