/* SPDX-License-Identifier: Apache-2.0 */
/* calls.status: TABLE_ROW(NAME, text, rank, live, description). Events move a call to a higher rank only; live ones hold their phone and a slot. */
TABLE_ROW(DIALING, "dialing", 0, 1, "intent is durable; the POST may be on its way")
TABLE_ROW(UNKNOWN, "unknown", 1, 1, "whether the provider took the call is not known yet")
TABLE_ROW(CALLING, "calling", 2, 1, "accepted by the provider")
TABLE_ROW(RINGING, "ringing", 3, 1, "rings")
TABLE_ROW(IN_PROGRESS, "in_progress", 4, 1, "answered")
TABLE_ROW(COMPLETED, "completed", 5, 0, "over, the provider reached somebody or something")
TABLE_ROW(FAILED, "failed", 5, 0, "over without contact, or its end never came")
TABLE_ROW(REJECTED, "rejected", 5, 0, "refused by the provider: nothing was dialed")
TABLE_ROW(NOT_DIALED, "not_dialed", 5, 0, "proved absent at the provider: nothing was dialed")
TABLE_ROW(UNDETERMINED, "undetermined", 1, 1, "no proof either way by the deadline; an operator decides")
