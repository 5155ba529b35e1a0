-- SPDX-License-Identifier: Apache-2.0
-- POST pending-calls/{id}/cancel. $1 id
SELECT status, body FROM pending_call_cancel($1::text)
