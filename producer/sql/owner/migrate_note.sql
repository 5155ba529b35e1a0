-- SPDX-License-Identifier: Apache-2.0
-- Notes a migration, in its own transaction.
SELECT carillon.note_migration($1::integer, $2::text, $3::text, $4::bigint)
