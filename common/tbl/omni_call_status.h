/* SPDX-License-Identifier: Apache-2.0 */
/* Omni's call_status, as word_normalize() writes it, and the outcome it means when the agent named none: OMNI_STATUS_ROW(word, outcome). Other words are outcomes themselves. */
OMNI_STATUS_ROW("COMPLETED", "HUMAN")
OMNI_STATUS_ROW("VOICEMAIL_DETECTED", "VOICEMAIL")
OMNI_STATUS_ROW("VOICEMAIL", "VOICEMAIL")
OMNI_STATUS_ROW("NO_ANSWER", "NO_ANSWER")
OMNI_STATUS_ROW("BUSY", "BUSY")
OMNI_STATUS_ROW("FAILED", "FAILED")
OMNI_STATUS_ROW("CANCELLED", "CANCELLED")
OMNI_STATUS_ROW("CANCELED", "CANCELLED")
