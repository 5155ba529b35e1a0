/* SPDX-License-Identifier: Apache-2.0 */
/* follow_ups.status: TABLE_ROW(NAME, text, final, description) */
TABLE_ROW(PENDING, "pending", 0, "waits for its time, its lane and its gates")
TABLE_ROW(QUEUED, "queued", 0, "claimed by a producer, its job is in Kafka or on the way")
TABLE_ROW(DIALING, "dialing", 0, "claimed by a dispatcher: the call's ledger row exists")
TABLE_ROW(COMPLETED, "completed", 1, "the provider accepted the call")
TABLE_ROW(SKIPPED, "skipped", 1, "not to be called, for the reason kept")
TABLE_ROW(CANCELLED, "cancelled", 1, "called off")
TABLE_ROW(FAILED, "failed", 1, "refused for good")
TABLE_ROW(UNDETERMINED, "undetermined", 1, "whether it was dialed can't be proved; an operator decides")
