/* SPDX-License-Identifier: Apache-2.0 */
/* Things whose state changes are kept in transitions: TABLE_ROW(NAME, text, description) */
TABLE_ROW(LEAD, "lead", "leads.stage")
TABLE_ROW(PENDING_CALL, "pending_call", "pending_calls.workflow_state")
TABLE_ROW(CAMPAIGN_CALL, "campaign_call", "a campaign's scheduled call")
TABLE_ROW(CAMPAIGN, "campaign", "a campaign being started, stopped or deleted")
TABLE_ROW(REDIAL, "redial", "redial_queue.status")
