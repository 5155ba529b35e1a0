# SPDX-License-Identifier: Apache-2.0
"""The examples of deploy/n8n and deploy/cron, run as they are but for host and secret; many triggers at once."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lib.stack import SECRETS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
HOST = "https://carillon.example.com"
CRON = SECRETS["CRON_JOB_SECRET"]
N8N = "n8n-secret-5e4d3c2b1a09"


def start(stack, **environment):
    stack.start(SCHEDULE="external", **environment)
    stack.sim.script([{"action": {"outcome": "SALE", "call_ms": 100}}])


def n8n(stack, secret):
    """The request that n8n makes of its workflow."""
    workflow = json.loads((DEPLOY / "n8n" / "call-dispatch-every-5-minutes.json").read_text())
    trigger, request = workflow["nodes"]
    assert trigger["parameters"]["rule"]["interval"] == [{"field": "minutes", "minutesInterval": 5}]
    assert workflow["connections"][trigger["name"]]["main"][0][0]["node"] == request["name"]
    asked = request["parameters"]
    assert asked["url"].startswith(HOST) and "Authorization" in request["notes"]
    return stack.producer.http.request(
        asked["method"], asked["url"].removeprefix(HOST), timeout=asked["options"]["timeout"] / 1000,
        params={one["name"]: one["value"] for one in asked["queryParameters"]["parameters"]},
        headers={"Authorization": f"Bearer {secret}"})


def test_n8n(stack):
    start(stack, N8N_DISPATCH_SECRET=N8N)
    stack.leads(3)
    assert n8n(stack, CRON).status_code == 401
    answer = n8n(stack, N8N).json()
    assert (answer["seeded"], answer["dispatched"], answer["waiting"]) == (3, 3, 0)


def test_crontab(stack, tmp_path):
    start(stack)
    stack.leads(2)
    line = [one for one in (DEPLOY / "cron" / "crontab").read_text().splitlines() if not one.startswith("#")][0]
    assert line.startswith("*/5 * * * * ")
    command = line.removeprefix("*/5 * * * * ").replace(HOST, stack.producer.url)

    def run(secret):
        (tmp_path / ".carillon-dispatch").write_text(f"Authorization: Bearer {secret}\n")
        return subprocess.run(["sh", "-c", command], capture_output=True, text=True,
                              env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "no_proxy": "*"})

    assert run("wrong").returncode == 22
    done = run(CRON)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dispatched"] == 2


def test_vercel(stack):
    start(stack)
    stack.leads(2)
    (job,) = json.loads((DEPLOY / "cron" / "vercel.json").read_text())["crons"]
    assert job["schedule"] == "*/5 * * * *"
    answer = stack.producer.http.get(job["path"], headers={"Authorization": f"Bearer {CRON}"})
    assert answer.json()["published"] == 2


def test_ten_triggers_at_once(stack):
    start(stack, N8N_DISPATCH_SECRET=N8N)
    leads = stack.leads(40)
    with ThreadPoolExecutor(10) as pool:
        answers = [answer.json() for answer in pool.map(lambda _: n8n(stack, N8N), range(10))]
    assert sum(answer["seeded"] for answer in answers) == 40
    assert sum(answer["published"] for answer in answers) == 40
    stack.wait_count(40, "calls", "outcome is not null")
    stack.assert_rung(lead["phone"] for lead in leads)
