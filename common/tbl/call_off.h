/* SPDX-License-Identifier: Apache-2.0 */
/* Providers that keep an accepted call waiting and take no latest time for it: TABLE_ROW(NAME, text, how it is taken back) */
TABLE_ROW(TWILIO, "twilio", "Status=canceled to the call's own URL")
