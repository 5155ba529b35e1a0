# SPDX-License-Identifier: Apache-2.0
"""A chore that one request has made long leaves the others their turn."""

SOME = 100_000   # so many are called off in one sweep
ALL = 120_000


def test_a_huge_campaigns_stop_does_not_keep_other_chores_waiting(stack):
    stack.start("producer", SWEEP_INTERVAL_S=3600)
    lead, suppressed = stack.lead(auto_follow_up=False), stack.phone()
    lane = stack.insert("lanes", tenant_id="default", name="huge", active=False)["id"]
    its = stack.insert("campaigns", tenant_id="default", lane_id=lane, name="Huge", changing=True)["id"]
    stack.db.execute("insert into carillon.follow_ups (tenant_id, lead_id, kind, lane_id, source, source_id) select 'default', %s, 'campaign', %s, 'campaign', n::text"
                     " from generate_series(1, %s) n", (lead["id"], lane, ALL))
    stack.insert("suppressions", tenant_id="default", phone=suppressed, reason="a test", source="operator", expires_at="2020-01-01")
    stack.producer.restart(SWEEP_INTERVAL_S=20)   # and so the second sweep is far behind the first
    stack.wait_count(0, "suppressions", timeout=60)
    assert stack.count("follow_ups", "status = 'cancelled'") == SOME
    assert stack.value("select changing from carillon.campaigns where id = %s", its)
    stack.wait_count(ALL, "follow_ups", "status = 'cancelled'", timeout=60)
