/* SPDX-License-Identifier: Apache-2.0 */
/* Kind of provider event, in rising rank: TABLE_ROW(NAME, text, rank, description). A lower rank never moves a call back. */
TABLE_ROW(QUEUED, "queued", 1, "the provider has accepted the call")
TABLE_ROW(RINGING, "ringing", 2, "the callee's phone rings")
TABLE_ROW(IN_PROGRESS, "in_progress", 3, "answered")
TABLE_ROW(ENDED, "ended", 4, "over; the outcome may follow in a report")
TABLE_ROW(REPORT, "report", 5, "over, with outcome, summary and transcript")
