/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What we read of a Convoso event: CONVOSO_FIELD(NAME, name, key, description). The key is that of Convoso's adaptor
 * unless the account maps another one (CONVOSO_FIELDS, or the account's settings).
 */
CONVOSO_FIELD(CALL_LOG_ID, "call_log_id", "call_log_id", "the call; required")
CONVOSO_FIELD(STATUS, "status", "status", "how it ended; required")
CONVOSO_FIELD(PHONE_NUMBER, "phone_number", "phone_number", "who was called; required")
CONVOSO_FIELD(PHONE_CODE, "phone_code", "phone_code", "country code of a number without one")
CONVOSO_FIELD(LEAD_ID, "lead_id", "lead_id", "Convoso's id of the person")
CONVOSO_FIELD(LIST_ID, "list_id", "list_id", "of the redial record")
CONVOSO_FIELD(FIRST_NAME, "first_name", "first_name", "of the redial record")
CONVOSO_FIELD(LAST_NAME, "last_name", "last_name", "of the redial record")
CONVOSO_FIELD(STATE, "state", "state", "of the redial record")
CONVOSO_FIELD(CALL_TYPE, "call_type", "call_type", "INBOUND ones are no dials")
CONVOSO_FIELD(CALL_DATE, "call_date", "call_date", "begin, in the account's time zone")
CONVOSO_FIELD(LENGTH, "length_in_sec", "length_in_sec", "seconds")
CONVOSO_FIELD(TERM_REASON, "term_reason", "term_reason", "who hung up, or why it ended")
CONVOSO_FIELD(CALLBACK_AT, "callback_at", "callback_at", "an agreed time, in the account's time zone")
CONVOSO_FIELD(COMMENT, "agent_comment", "agent_comment", "the call's summary")
CONVOSO_FIELD(RECORDING, "recording", "recording", "URL")
