/* SPDX-License-Identifier: Apache-2.0 */
/* Who or what answers a number: TABLE_ROW(NAME, text, description) */
TABLE_ROW(HUMAN, "human", "a person, at once")
TABLE_ROW(IVR_ONLY, "ivr_only", "a menu that leads to no person")
TABLE_ROW(IVR_THEN_HUMAN, "ivr_then_human", "a menu, and a person behind it")
TABLE_ROW(UNKNOWN, "unknown", "the classifier can't tell")
