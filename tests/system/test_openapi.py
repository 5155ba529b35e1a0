# SPDX-License-Identifier: Apache-2.0
"""/openapi.json against the real processes: schemathesis calls every operation with what its description permits and forbids.

It fails on 5xx, on statuses, content types and members that are not described, on wrong input that is taken and right input
that is refused, on methods that are not answered with 405, and on operations that work without their key."""

import re
import subprocess
import sys
from pathlib import Path

from lib.stack import SECRETS

EXAMPLES = 20  # an operation, one after the other: Python 3.11 parses no source in two threads at once
SEED = 20261121
KEYS = """
[auth.openapi.apiKey]
api_key = "{ADMIN_API_KEY}"
[auth.openapi.n8nSecret]
api_key = "{CRON_JOB_SECRET}"
[auth.openapi.cronSecret]
api_key = "{CRON_JOB_SECRET}"
"""


def test_every_operation_is_as_described(stack, tmp_path):
    stack.leads(5)
    stack.start("producer", SCHEDULE="external")
    lead = stack.value("select id from carillon.leads order by id limit 1")
    stack.insert("redial_queue", lead_id="123456", phone_number="+15551234567", status="paused", attempts=1, lead_ref=lead)
    (tmp_path / "schemathesis.toml").write_text(KEYS.format(**SECRETS))
    log = tmp_path / "schemathesis.log"
    with log.open("w") as out:
        ended = subprocess.run(
            [Path(sys.executable).with_name("schemathesis"), "run", f"{stack.producer.url}/openapi.json",
             "--seed", str(SEED), "--max-examples", str(EXAMPLES), "--phases", "examples,coverage,fuzzing",
             "--generation-database", "none", "--workers", "1", "--no-color", "--continue-on-failure", "--warnings", "off"],
            stdout=out, stderr=subprocess.STDOUT, cwd=tmp_path, timeout=170, check=False)
    said = log.read_text()
    operations = re.search(r"Selected: (\d+)/(\d+)", said)
    assert ended.returncode == 0, said[-12000:]
    assert operations and operations[1] == operations[2] != "0", said[-3000:]
