# SPDX-License-Identifier: Apache-2.0
"""Prepares every statement file on the migrated database, as the role of the process that runs it.

Preparing finds wrong names and types; EXPLAIN finds what the role may not touch. Prints TAP-like lines.
A statement of common/sql must be allowed to at least one of the processes. Those of API resources that are for tenants are
run by the role carillon_tenant too.
"""

import os
import re
import sys
from pathlib import Path

import psycopg
from psycopg.pq import ExecStatus

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = ("producer", "consumer", "webhook")
NOT_EXPLAINABLE = "42601"  # syntax_error: utility statements such as LISTEN have no plan


def problem_of(connection: psycopg.Connection, role: str, path: Path) -> str | None:
    """Why the statement can't be run by the role; None if it can."""
    server = connection.pgconn
    name = path.stem.encode()

    def failed(result) -> str | None:
        if result.status in (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK):
            return None
        return result.error_message.decode().strip()

    if problem := failed(server.exec_(f"set role {role}".encode())):
        return problem
    try:
        prepared = server.prepare(name, path.read_bytes())
        if problem := failed(prepared):
            return problem
        count = server.describe_prepared(name).nparams
        nulls = b"(" + b", ".join([b"null"] * count) + b")" if count else b""
        explained = server.exec_(b'explain execute "' + name + b'"' + nulls)
        problem = failed(explained)
        server.exec_(b'deallocate "' + name + b'"')
        if problem and explained.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == NOT_EXPLAINABLE.encode():
            return None
        return problem
    finally:
        server.exec_(b"reset role")


def tenants_statements() -> list[Path]:
    """What the rows of resources of AUDIENCE_TENANT name, and what comes before each of them."""
    names = {"API_BIND_TENANT"}
    for source in (ROOT / "producer" / "api").glob("*.c"):
        text = source.read_text()
        for resource in re.findall(r"const struct resource \w+ = \{(.*?)\n\};", text, re.DOTALL):
            if "AUDIENCE_TENANT" in resource:
                rows = re.search(r"RESOURCE_ENDPOINTS\((\w+)\)", resource)[1]
                table = re.search(rf"struct endpoint {rows}\[\] = \{{(.*?)\n\}};", text, re.DOTALL)[1]
                names |= set(re.findall(r"\bAPI_[A-Z_]+", table))
    return sorted(ROOT / "producer" / "api" / "sql" / f"{name[4:].lower()}.sql" for name in names)


def main() -> int:
    failures = 0
    tests = [((process,), path) for process in PROCESSES for path in sorted((ROOT / process / "sql").glob("*.sql"))]
    tests += [(("producer",), path) for path in sorted((ROOT / "producer" / "api" / "sql").glob("*.sql"))]
    tests += [(("tenant",), path) for path in tenants_statements()]
    tests += [(PROCESSES, path) for path in sorted((ROOT / "common" / "sql").glob("*.sql"))]
    tests += [((None,), path) for path in sorted((ROOT / "producer" / "sql" / "owner").glob("*.sql"))]
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        for processes, path in tests:
            problems = [
                problem_of(connection, f"carillon_{process}" if process else "none", path) for process in processes
            ]
            if None in problems:
                print(f"ok {path.relative_to(ROOT)}")
                continue
            failures += 1
            print(f"not ok {path.relative_to(ROOT)}")
            for process, problem in zip(processes, problems):
                print(f"# as carillon_{process}: {problem}")
    if not tests:
        print("not ok no statement files")
        failures = 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
