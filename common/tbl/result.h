/* SPDX-License-Identifier: Apache-2.0 */
/* Result of one dispatch: TABLE_ROW(NAME, text, description) */
TABLE_ROW(ACCEPTED, "accepted", "the provider took the call and named its id")
TABLE_ROW(REFUSED, "refused", "an answer known to mean that no call was created")
TABLE_ROW(NOT_SENT, "not_sent", "no byte of the request left; retried free")
TABLE_ROW(UNKNOWN, "unknown", "anything else: reconciled, never sent again blindly")
