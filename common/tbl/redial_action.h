/* SPDX-License-Identifier: Apache-2.0 */
/* What a call's end means for the redial queue: TABLE_ROW(NAME, text, description) */
TABLE_ROW(SCHEDULE, "schedule", "dial again after the interval")
TABLE_ROW(CALLBACK, "callback", "dial again at the agreed time")
TABLE_ROW(COMPLETE, "complete", "success: no more dials")
TABLE_ROW(STOP, "stop", "no more dials, without success")
