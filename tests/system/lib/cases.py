# SPDX-License-Identifier: Apache-2.0
"""Many calls at once, each with a name, by one provider: what it is to do with each, and what came of them."""

from typing import Any

from .stack import Stack


def quick_settings(account: str) -> dict[str, Any]:
    """Settings with which lost answers are looked up within seconds, all calls made by one account."""
    return {"JOB_LEASE_S": 4, "LEASE_MARGIN_S": 1, "PROVIDER_TIMEOUT_S": 2, "LIST_LAG_S": 1, "UNDETERMINED_AFTER_S": 20,
            "MAX_CALL_S": 600, "MAX_CALL_GRACE_S": 1, "FOLLOW_UP_ACCOUNT": account, "REDIAL_ACCOUNT": account}


def leads_of(stack: Stack, provider: str, cases: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, Any]]:
    """One lead a case, all due together, with the rules of its calls; by name."""
    with stack.db.transaction():
        leads = {name: stack.lead() for name in cases}
        stack.sim.script([
            {"match": {"provider": provider, "phone": leads[name]["phone"]}} | rule
            for name, rules in cases.items() for rule in rules
        ])
    return leads


def follow_ups_of(stack: Stack, leads: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """By name: status, reason and attempts of the follow-up, how often it rang, then each refusal."""
    seen = {}
    for name, lead in leads.items():
        row = stack.row("select * from follow_ups where lead_id = %s", lead["id"])
        refusals = stack.rows(
            "select refusal from calls where lead_id = %s and status = 'rejected' order by claimed_at", lead["id"])
        seen[name] = [row["status"], row["reason"], row["attempts"], stack.sim.dialed(lead["phone"]),
                      *(call["refusal"] for call in refusals)]
    return seen


def calls_of(stack: Stack, leads: dict[str, dict[str, Any]]) -> dict[str, list[Any]]:
    """By name: how often it rang, then status and outcome of each call."""
    seen = {}
    for name, lead in leads.items():
        calls = stack.rows("select status, outcome from calls where lead_id = %s order by claimed_at", lead["id"])
        seen[name] = [stack.sim.dialed(lead["phone"]), *((call["status"], call["outcome"]) for call in calls)]
    return seen
