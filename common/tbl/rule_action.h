/* SPDX-License-Identifier: Apache-2.0 */
/* What an outcome means: TABLE_ROW(NAME, text, description). Rows of carillon.outcome_rules use these words. */
TABLE_ROW(SUCCESS, "success", "the goal is reached: no more dials")
TABLE_ROW(RETRY, "retry", "dial again after the interval")
TABLE_ROW(CALLBACK, "callback", "dial at the agreed time; without one it is a success")
TABLE_ROW(STOP, "stop", "no more dials")
TABLE_ROW(SUPPRESS, "suppress", "no more dials by anybody: do not call")
