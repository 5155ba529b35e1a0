-- SPDX-License-Identifier: Apache-2.0
-- POST /functions/v1/pre-classify-call. $1 {"pending_call_id"}
SELECT status, body FROM pre_classify_call($1::jsonb)
