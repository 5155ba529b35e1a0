-- SPDX-License-Identifier: Apache-2.0
-- The next rows of an upload; those of a preview are counted alone. $1 upload, $2 who is at it, $3 rows
SELECT a ->> 'state' AS state, a AS body FROM upload_apply($1::bigint, $2, $3::bigint) a
