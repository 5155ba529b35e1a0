/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vapi's endedReason: VAPI_REASON_ROW(how, text, outcome, decided). The first row that fits counts; Vapi has
 * hundreds of reasons and adds to them, so most rows are beginnings. how: EXACT, PREFIX, PART. decided: 1 if the
 * reason alone says how the call ended; 0 if there was a conversation, whose outcome the report's analysis may name.
 */
/* ---- No contact ---- */
VAPI_REASON_ROW(EXACT, "customer-did-not-answer", "NO_ANSWER", 1)
VAPI_REASON_ROW(EXACT, "customer-busy", "BUSY", 1)
VAPI_REASON_ROW(EXACT, "voicemail", "VOICEMAIL", 1)
/* ---- Cancelled ---- */
VAPI_REASON_ROW(EXACT, "manually-canceled", "CANCELLED", 1)
VAPI_REASON_ROW(EXACT, "scheduled-call-deleted", "CANCELLED", 1)
VAPI_REASON_ROW(EXACT, "call-deleted", "CANCELLED", 1)
/* ---- Answered ---- */
VAPI_REASON_ROW(EXACT, "assistant-forwarded-call", "TRANSFERRED", 0)
VAPI_REASON_ROW(PREFIX, "customer-ended-call", "HUMAN", 0)
VAPI_REASON_ROW(PREFIX, "assistant-ended-call", "HUMAN", 0)
VAPI_REASON_ROW(PREFIX, "assistant-said-", "HUMAN", 0)
VAPI_REASON_ROW(PREFIX, "call.forwarding.", "HUMAN", 0)
VAPI_REASON_ROW(EXACT, "exceeded-max-duration", "HUMAN", 0)
VAPI_REASON_ROW(EXACT, "silence-timed-out", "HUMAN", 0)
/* ---- Number, carrier, account, configuration, Vapi itself ---- */
VAPI_REASON_ROW(EXACT, "twilio-reported-customer-misdialed", "FAILED", 1)
VAPI_REASON_ROW(PREFIX, "twilio-failed-", "FAILED", 1)
VAPI_REASON_ROW(PREFIX, "vonage-rejected", "FAILED", 1)
VAPI_REASON_ROW(PREFIX, "vonage-failed-", "FAILED", 1)
VAPI_REASON_ROW(PREFIX, "call.start.error-", "FAILED", 1)
VAPI_REASON_ROW(PREFIX, "call.in-progress.error-", "FAILED", 1)
VAPI_REASON_ROW(PREFIX, "pipeline-", "FAILED", 1)
VAPI_REASON_ROW(PREFIX, "assistant-not-", "FAILED", 1)
VAPI_REASON_ROW(PREFIX, "assistant-request-", "FAILED", 1)
VAPI_REASON_ROW(EXACT, "worker-shutdown", "FAILED", 1)
VAPI_REASON_ROW(PART, "error", "FAILED", 1)
