-- SPDX-License-Identifier: Apache-2.0
-- Rows of CSV for an upload that is being received. $1 upload, $2 numbers, $3 as CSV, $4 members, $5 faults
SELECT upload_stage($1::bigint, $2::bigint[], $3::text[], $4::text[], $5::text[]) AS rejected
