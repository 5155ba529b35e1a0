# SPDX-License-Identifier: Apache-2.0
"""/api/outcome-rules and /api/outcome-words: a rule or word that is changed over the API changes what the next end does."""

import pytest
from lib import events
from lib.stack import SECRETS

KEY = {"X-API-Key": SECRETS["ADMIN_API_KEY"]}


def api(stack, method, path, headers=KEY, **more):
    return stack.producer.http.request(method, f"/api/{path}", headers=headers, **more)


def good(stack, method, path, **more):
    answer = api(stack, method, path, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def rules(stack, tenant=""):
    return {rule["outcome"]: (rule["action"], rule["next_stage"]) for rule in good(stack, "GET", f"outcome-rules{tenant}")["rules"]}


def words(stack, query=""):
    return {(word["provider"], word["word"], word["match"]): word for word in good(stack, "GET", f"outcome-words{query}")["words"]}


def told(stack, process, change):
    """Does it, and waits until the process has read it."""
    def reads():
        return len(list(stack.process(process).log_events("snapshot.read")))

    before = reads()
    change()
    stack.wait_until(lambda: reads() > before, 5, "the change is read")


def test_rules_are_shown_changed_and_put_back(stack):
    stack.start("producer")
    defaults = {"ACA": ("success", None), "CALLBACK": ("callback", None), "DO_NOT_CALL": ("suppress", None),
                "NOT_INTERESTED": ("stop", None), "SALE": ("success", None), "TRANSFERRED": ("success", None)}
    assert rules(stack) == defaults
    assert good(stack, "GET", "outcome-rules")["otherwise"] == {"action": "retry", "next_stage": None}

    made = good(stack, "PUT", "outcome-rules/visit-booked", json={"action": "success", "next_stage": "visit_scheduled"})
    assert (made["outcome"], made["action"], made["next_stage"], made["tenant"]) == ("VISIT_BOOKED", "success", "visit_scheduled", None)
    assert good(stack, "PUT", "outcome-rules/VISIT_BOOKED", json={"action": "stop"})["next_stage"] is None
    assert rules(stack) == defaults | {"VISIT_BOOKED": ("stop", None)}
    # The redial queue's success outcomes are these rules.
    good(stack, "PUT", "outcome-rules/VISIT_BOOKED", json={"action": "success", "next_stage": None})
    assert "VISIT_BOOKED" in good(stack, "GET", "admin/redial-queue/config")["config"]["success_outcomes"]
    assert good(stack, "DELETE", "outcome-rules/visit booked")["action"] == "retry"
    assert api(stack, "DELETE", "outcome-rules/VISIT_BOOKED").status_code == 404
    assert rules(stack) == defaults

    # A tenant's own.
    stack.insert("tenants", id="acme", name="Acme")
    assert good(stack, "PUT", "outcome-rules/SALE?tenant=acme", json={"action": "retry"})["tenant"] == "acme"
    assert rules(stack) == defaults and rules(stack, "?tenant=acme") == defaults | {"SALE": ("retry", None)}
    back = good(stack, "DELETE", "outcome-rules/SALE?tenant=acme")
    assert (back["action"], back["tenant"]) == ("success", None)
    for method, path in (("GET", "outcome-rules"), ("PUT", "outcome-rules/SALE"), ("DELETE", "outcome-rules/SALE"),
                         ("GET", "outcome-words"), ("PUT", "outcome-words/omni/X")):
        body = {"action": "stop"} if "rules" in path else {"outcome": "SALE"}
        assert api(stack, method, f"{path}?tenant=nobody", json=body if method == "PUT" else None).status_code == 404


def test_words_are_shown_changed_and_put_back(stack):
    stack.start("producer")
    built_in = words(stack)
    assert built_in[("vapi", "CUSTOMER_BUSY", "exact")]["outcome"] == "BUSY"
    assert built_in[("vapi", "ERROR", "part")]["default"] == "FAILED"
    assert built_in[("convoso", "DNCL", "exact")]["outcome"] == "DO_NOT_CALL"
    assert built_in[("*", "CALL_BACK", "exact")]["outcome"] == "CALLBACK"
    assert {provider for provider, _, _ in words(stack, "?provider=omni")} == {"omni", "*"}
    assert good(stack, "GET", "outcome-rules")["words"] == good(stack, "GET", "outcome-words")["words"]

    made = good(stack, "PUT", "outcome-words/vapi/customer-busy", json={"outcome": "voicemail"})
    assert (made["word"], made["outcome"], made["default"]) == ("CUSTOMER_BUSY", "VOICEMAIL", "BUSY")
    made = good(stack, "PUT", "outcome-words/vapi/call.in-progress.error-sip", json={"outcome": "BUSY"})
    assert (made["word"], made["default"]) == ("CALL_IN_PROGRESS_ERROR_SIP", "FAILED")
    assert good(stack, "PUT", "outcome-words/convoso/NI", json={"outcome": "NOT_INTERESTED"})["default"] is None
    now = words(stack)
    assert len(now) == len(built_in) + 2
    assert now[("vapi", "CUSTOMER_BUSY", "exact")] | {"updated_at": None} == {
        "provider": "vapi", "word": "CUSTOMER_BUSY", "match": "exact", "outcome": "VOICEMAIL", "default": "BUSY", "tenant": None,
        "updated_at": None}
    assert good(stack, "DELETE", "outcome-words/vapi/customer-busy")["outcome"] == "BUSY"
    assert good(stack, "DELETE", "outcome-words/convoso/ni")["outcome"] == "NI"
    good(stack, "DELETE", "outcome-words/vapi/CALL_IN_PROGRESS_ERROR_SIP")
    assert api(stack, "DELETE", "outcome-words/convoso/ni").status_code == 404
    assert words(stack) == built_in


@pytest.mark.parametrize("path, body, fields", [
    ("outcome-rules/--", {"action": "explode", "next_stage": 5, "colour": "red"}, ["outcome", "action", "next_stage", "colour"]),
    ("outcome-rules/" + "A" * 64, {"action": None}, ["outcome", "action"]),
    ("outcome-rules/SALE", {}, ["action"]),
    ("outcome-rules/SALE", {"action": "stop", "next_stage": ""}, ["next_stage"]),
    ("outcome-rules/SALE", {"action": "stop", "next_stage": "a" * 64}, ["next_stage"]),
    ("outcome-words/vappi/--", {"outcome": ""}, ["provider", "word", "outcome"]),
    ("outcome-words/vapi/" + "A" * 128, {"outcome": 5, "action": "stop"}, ["word", "outcome", "action"]),
    ("outcome-words/vapi/X", {}, ["outcome"]),
])
def test_refusals_name_every_problem(stack, path, body, fields):
    stack.start("producer")
    before = good(stack, "GET", "outcome-rules")
    answer = api(stack, "PUT", path, json=body)
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert [error["field"] for error in answer.json()["errors"]] == fields
    assert all(error["detail"] for error in answer.json()["errors"])
    assert api(stack, "PUT", path, content=b"[]").status_code == 422
    assert api(stack, "PUT", path, headers={}, json=body).status_code == 401
    assert good(stack, "GET", "outcome-rules") == before


def test_what_is_changed_counts_for_the_next_end(stack):
    stack.start(FOLLOW_UP_ACCOUNT="vapi", REDIAL_ACCOUNT="vapi")
    stack.sim.script([{"action": {"call_ms": 600_000, "webhook": {"lost": True}}}])
    leads = stack.leads(6)
    stack.wait_count(len(leads), "calls", "status = 'calling'")
    calls = [stack.row("select * from calls where lead_id = %s", lead["id"]) for lead in leads]

    def end(number, reason, outcome=None):
        body = events.vapi_report(calls[number]["provider_call_id"], reason, outcome, phone=calls[number]["phone"])
        assert events.post_vapi(stack.webhook, body).status_code == 202
        stack.wait_count(1, "calls", f"job_id = '{calls[number]['job_id']}' and decided_at is not null and outcome is not null")
        now = stack.row("select c.outcome, r.status from calls c left join redial_queue r on r.lead_ref = c.lead_id where c.job_id = %s",
                        calls[number]["job_id"])
        return now["outcome"], now["status"]

    assert end(0, "customer-did-not-answer") == ("NO_ANSWER", "pending")
    told(stack, "webhook", lambda: good(stack, "PUT", "outcome-rules/NO_ANSWER", json={"action": "stop", "next_stage": "lost"}))
    assert end(1, "customer-did-not-answer") == ("NO_ANSWER", None)
    stack.wait_count(1, "leads", f"id = {leads[1]['id']} and stage = 'lost'")
    told(stack, "webhook", lambda: good(stack, "DELETE", "outcome-rules/NO_ANSWER"))
    assert end(2, "customer-did-not-answer") == ("NO_ANSWER", "pending")

    # A provider's word, and one that its agents say.
    told(stack, "webhook", lambda: good(stack, "PUT", "outcome-words/vapi/customer-did-not-answer", json={"outcome": "VOICEMAIL"}))
    assert end(3, "customer-did-not-answer") == ("VOICEMAIL", "pending")
    assert end(4, "customer-ended-call", "all set") == ("ALL_SET", "pending")
    told(stack, "webhook", lambda: good(stack, "PUT", "outcome-words/vapi/all set", json={"outcome": "SALE"}))
    assert end(5, "customer-ended-call", "All set!") == ("SALE", None)


def test_the_reconciler_understands_the_same_words(stack):
    """An end that no webhook brought is looked up, and means what the words say."""
    stack.start("producer", "consumer", FOLLOW_UP_ACCOUNT="vapi", REDIAL_ACCOUNT="vapi", MAX_CALL_S="10", MAX_CALL_GRACE_S="0",
                LIST_LAG_S="0")
    good(stack, "PUT", "outcome-words/vapi/customer-busy", json={"outcome": "CALLBACK"})
    stack.sim.script([{"action": {"outcome": "BUSY", "call_ms": 100, "webhook": {"lost": True}}}])
    stack.lead()
    stack.wait_count(1, "calls", "outcome = 'CALLBACK'", timeout=60)
