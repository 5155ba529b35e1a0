-- SPDX-License-Identifier: Apache-2.0
-- A schema newer than the program.
INSERT INTO carillon.schema_migrations VALUES (7, '0007_future.sql', 'x', now(), 1)
