/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Bland says of a call's end, as word_normalize() writes it, and the outcome it means. The disposition goes first:
 * BLAND_DISPOSITION_ROW(word, outcome). One without a row is an outcome itself, since accounts make their own; outcome "":
 * it says nothing. Then the other fields (common/rules/bland.c has their order), and the first that fits a row decides:
 * BLAND_WORD_ROW(how, word, outcome). how: EXACT, PART.
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
BLAND_WORD_ROW(PART, "IS_BUSY", "BUSY")
BLAND_WORD_ROW(PART, "TEMPORARILY_UNAVAILABLE", "NO_ANSWER")
BLAND_WORD_ROW(PART, "IS_NOT_FOUND", "FAILED")
BLAND_WORD_ROW(PART, "BLOCKED_CALL", "FAILED")
BLAND_WORD_ROW(PART, "SPAM", "FAILED")
BLAND_WORD_ROW(PART, "CALL_FAILED", "FAILED")
BLAND_WORD_ROW(PART, "UNABLE_TO_START_CALL", "FAILED")
BLAND_WORD_ROW(PART, "DATABASE_ERROR", "FAILED")
/* ---- Who answered ---- */
BLAND_WORD_ROW(EXACT, "HUMAN", "HUMAN")
BLAND_WORD_ROW(EXACT, "VOICEMAIL", "VOICEMAIL")
BLAND_WORD_ROW(EXACT, "NO_ANSWER", "NO_ANSWER")
/* ---- The call's state ---- */
BLAND_WORD_ROW(EXACT, "COMPLETED", "HUMAN")
BLAND_WORD_ROW(EXACT, "FAILED", "FAILED")
BLAND_WORD_ROW(EXACT, "BUSY", "BUSY")
BLAND_WORD_ROW(EXACT, "CANCELED", "CANCELLED")
BLAND_WORD_ROW(EXACT, "PRE_QUEUE_ERROR", "FAILED")
BLAND_WORD_ROW(EXACT, "QUEUE_ERROR", "FAILED")
BLAND_WORD_ROW(EXACT, "CALL_ERROR", "FAILED")
BLAND_WORD_ROW(EXACT, "COMPLETE_ERROR", "FAILED")
