/* SPDX-License-Identifier: Apache-2.0 */
/* Things that people decide about, kept in transitions beside those of entity.h; no message speaks of them: TABLE_ROW(NAME, text, description) */
TABLE_ROW(AUDIT, "audit", "a difference between a provider's list and the ledger")
TABLE_ROW(CALL, "call", "the fate of a call that could not be proved")
TABLE_ROW(DEAD_LETTER, "dead_letter", "dead_letters.resolution")
TABLE_ROW(SCHEDULER, "scheduler", "the stop switch over everything")
TABLE_ROW(TENANT, "tenant", "the stop switch of one tenant")
