-- SPDX-License-Identifier: Apache-2.0
-- An account's credentials under another key, if nobody changed them since they were read. $1 name, $2 as they were read, $3 as they
-- are to be, both sealed, in hexadecimal
UPDATE accounts SET credentials = decode($3::text, 'hex') WHERE name = $1::text AND credentials = decode($2::text, 'hex')
RETURNING name
