-- SPDX-License-Identifier: Apache-2.0
-- Whether there is a schema to compare with.
SELECT EXISTS (SELECT FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
	WHERE n.nspname = 'carillon' AND c.relname = 'schema_migrations') AS found,
	EXISTS (SELECT FROM pg_namespace WHERE nspname = 'carillon') AS has_schema
