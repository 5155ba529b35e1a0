-- SPDX-License-Identifier: Apache-2.0
-- The migrations that were applied, each with the digest of its file.
CREATE TABLE carillon.schema_migrations (
	version    integer PRIMARY KEY,
	name       text NOT NULL,
	checksum   text NOT NULL,
	applied_at timestamptz NOT NULL DEFAULT now(),
	took_ms    bigint NOT NULL
)
