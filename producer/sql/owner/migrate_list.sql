-- SPDX-License-Identifier: Apache-2.0
-- What was applied, in order.
SELECT version, name, checksum FROM carillon.schema_migrations ORDER BY version
