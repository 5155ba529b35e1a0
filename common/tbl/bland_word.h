/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Bland says of a call's end, and the outcome it means. The disposition goes first:
 * BLAND_DISPOSITION_ROW(word as outcome_normalize() writes it, outcome). One without a row is an outcome itself, since
 * accounts make their own; outcome "": it says nothing. Then the other fields, in this order, and the first row that
 * fits decides: BLAND_WORD_ROW(field, how, text, outcome). how: EXACT, PART (any case).
 */
/* ---- The agent's own judgement ---- */
BLAND_DISPOSITION_ROW("CALL_BACK_SCHEDULED", "CALLBACK")
BLAND_DISPOSITION_ROW("DO_NOT_CONTACT", "DO_NOT_CALL")
BLAND_DISPOSITION_ROW("COMPLETED_ACTION", "SALE")
BLAND_DISPOSITION_ROW("NOT_QUALIFIED", "NOT_INTERESTED")
BLAND_DISPOSITION_ROW("AGENT_ENDED_CALL", "HUMAN")
BLAND_DISPOSITION_ROW("CANCELED", "CANCELLED")
BLAND_DISPOSITION_ROW("NO_CONTACT_MADE", "")
/* ---- Errors: of the line, of Bland. A transfer that failed is told here too, after a good conversation ---- */
BLAND_WORD_ROW("error_message", PART, "is busy", "BUSY")
BLAND_WORD_ROW("error_message", PART, "temporarily unavailable", "NO_ANSWER")
BLAND_WORD_ROW("error_message", PART, "is not found", "FAILED")
BLAND_WORD_ROW("error_message", PART, "blocked call", "FAILED")
BLAND_WORD_ROW("error_message", PART, "spam", "FAILED")
BLAND_WORD_ROW("error_message", PART, "call failed", "FAILED")
BLAND_WORD_ROW("error_message", PART, "unable to start call", "FAILED")
BLAND_WORD_ROW("error_message", PART, "database error", "FAILED")
/* ---- Who answered ---- */
BLAND_WORD_ROW("answered_by", EXACT, "human", "HUMAN")
BLAND_WORD_ROW("answered_by", EXACT, "voicemail", "VOICEMAIL")
BLAND_WORD_ROW("answered_by", EXACT, "no-answer", "NO_ANSWER")
/* ---- The call's state ---- */
BLAND_WORD_ROW("status", EXACT, "completed", "HUMAN")
BLAND_WORD_ROW("status", EXACT, "failed", "FAILED")
BLAND_WORD_ROW("status", EXACT, "busy", "BUSY")
BLAND_WORD_ROW("status", EXACT, "no-answer", "NO_ANSWER")
BLAND_WORD_ROW("status", EXACT, "canceled", "CANCELLED")
BLAND_WORD_ROW("queue_status", PART, "error", "FAILED")
