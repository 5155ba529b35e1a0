-- SPDX-License-Identifier: Apache-2.0
-- POST pending-calls/{id}/retry. $1 id
SELECT status, body FROM pending_call_retry($1::text)
