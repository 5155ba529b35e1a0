# SPDX-License-Identifier: Apache-2.0
"""What a pytest report (junit_family=xunit1) says.

junit.py REPORT STATUS    how many tests passed and failed; under CI a skipped one failed
junit.py --again REPORT   the failed tests, a line each, if they are few and each may have been a matter of time
"""

import os
import sys
from xml.etree import ElementTree

FEW = 3
# What is wrong however slow the machine is: what is found at the end of a test, and what an oracle says.
FINDINGS = ("failed on teardown", "oracles.Broken", "Sanitizer", "runtime error:", "crashed while running", "dialed twice")


def counts(suites, status):
    total = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        for key in total:
            total[key] += int(suite.get(key, 0))
    failed = total["failures"] + total["errors"]
    passed = max(total["tests"] - failed - total["skipped"], 0)
    if os.environ.get("CI") == "true":
        failed += total["skipped"]
    if failed == 0 and status != "0":
        failed = 1
    return passed, failed


def again(suites):
    failed, found = {}, False
    for suite in suites:
        found = found or suite.get("skipped", "0") != "0"  # counted as failures under CI
        for case in suite.iter("testcase"):
            for why in [*case.iter("failure"), *case.iter("error")]:
                failed[f"{case.get('file')}::{case.get('name')}"] = True
                said = f"{why.get('message', '')}\n{why.text}"
                found = found or any(finding in said for finding in FINDINGS)
    return [] if found or len(failed) > FEW else list(failed)


def main(arguments):
    first, second = arguments
    suites = list(ElementTree.parse(second if first == "--again" else first).getroot().iter("testsuite"))
    if first == "--again":
        print("\n".join(again(suites)))
    else:
        print(*counts(suites, second))


if __name__ == "__main__":
    main(sys.argv[1:])
