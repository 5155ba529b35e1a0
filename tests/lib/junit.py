# SPDX-License-Identifier: Apache-2.0
"""junit_counts.py REPORT STATUS: prints how many tests passed and failed; under CI a skipped one failed."""

import os
import sys
from xml.etree import ElementTree

total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
for suite in ElementTree.parse(sys.argv[1]).getroot().iter("testsuite"):
    for key in total:
        total[key] += int(suite.get(key, 0))

failed = total["failures"] + total["errors"]
passed = max(total["tests"] - failed - total["skipped"], 0)
if os.environ.get("CI") == "true":
    failed += total["skipped"]
if failed == 0 and sys.argv[2] != "0":
    failed = 1
print(passed, failed)
