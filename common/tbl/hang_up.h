/* SPDX-License-Identifier: Apache-2.0 */
/* Providers that end a call when they are told to: TABLE_ROW(NAME, text, how) */
TABLE_ROW(VAPI, "vapi", "the control URL of a call that goes on")
TABLE_ROW(BLAND, "bland", "POST /v1/calls/{id}/stop")
TABLE_ROW(TWILIO, "twilio", "Status=completed to the call's own URL")
