/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Twilio says of a call's end, as word_normalize() writes it, and the outcome it means: who answered (AnsweredBy), then
 * the state (CallStatus). TWILIO_WORD_ROW(how, word, outcome). how: EXACT, PREFIX. An AnsweredBy without a row says nothing.
 */
/* ---- Who answered ---- */
TWILIO_WORD_ROW(EXACT, "HUMAN", "HUMAN")
TWILIO_WORD_ROW(PREFIX, "MACHINE", "VOICEMAIL")
TWILIO_WORD_ROW(EXACT, "FAX", "FAX")
/* ---- The call's state ---- */
TWILIO_WORD_ROW(EXACT, "COMPLETED", "HUMAN")
TWILIO_WORD_ROW(EXACT, "BUSY", "BUSY")
TWILIO_WORD_ROW(EXACT, "NO_ANSWER", "NO_ANSWER")
TWILIO_WORD_ROW(EXACT, "FAILED", "FAILED")
TWILIO_WORD_ROW(EXACT, "CANCELED", "CANCELLED")
