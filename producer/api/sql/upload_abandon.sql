-- SPDX-License-Identifier: Apache-2.0
-- Nothing of an upload is applied whose file did not come whole or can't be read. $1 upload, $2 why
UPDATE uploads SET state = 'abandoned', reason = left($2, 1000), finished_at = now() WHERE id = $1::bigint AND state = 'receiving'
