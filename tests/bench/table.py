# SPDX-License-Identifier: Apache-2.0
"""Prints the bench's results (JSON lines, one a run) as a table of medians, and Carillon's ratios to the others."""

import json
import os
import pathlib
import platform
import statistics
import sys

CPU = ["w_cpu_per_1k", "pg_cpu_per_1k", "broker_cpu_per_1k"]
RULE = {  # Carillon against River: what is compared, the bound, and which side of it is good
    "dispatches/s, times River's": (2.0, True),
    "CPU per dispatch, times River's": (0.5, False),
    "p99 lateness, ms": (50.0, False),
}


def name_of(run):
    return pathlib.Path(run["contender"]).stem


def medians(runs):
    fields = ["rate", "w_rss_mb", "late_p50_ms", "late_p99_ms", "wal_b_per", "commits_per", "foreign_pct", *CPU]
    row = {field: statistics.median(run[field] for run in runs) for field in fields}
    row["cpu"] = statistics.median(sum(run[field] for field in CPU) for run in runs)
    row["ok"] = sum(run["ok"] for run in runs), len(runs)
    return row


def show(mode, rows):
    print(f"\n{mode}")
    print("| contender | dispatches/s | CPU s per 1,000 | workers / PostgreSQL / Kafka | RSS MB | late p50 / p99 ms "
          "| WAL B, commits per dispatch | all once and recorded |")
    print("|---|---|---|---|---|---|---|---|")
    for name, row in rows.items():
        parts = " / ".join(f"{row[field]:.3f}" for field in CPU)
        print(f"| {name} | {row['rate']:,.0f} | {row['cpu']:.3f} | {parts} | {row['w_rss_mb']:.0f} "
              f"| {row['late_p50_ms']:,.1f} / {row['late_p99_ms']:,.1f} "
              f"| {row['wal_b_per']:,.0f}, {row['commits_per']:.2f} | {row['ok'][0]} of {row['ok'][1]} |")


def ratios(rows):
    ours = rows.get("carillon")
    for name, row in rows.items():
        if ours and row["rate"] and row["cpu"] and not name.startswith("carillon"):
            print(f"Carillon / {name}: {ours['rate'] / row['rate']:.2f} of the dispatches/s, "
                  f"{ours['cpu'] / row['cpu']:.2f} of the CPU per dispatch")


def goals(tables):
    bulk, pace = tables.get("bulk0", {}), tables.get("pace", {})
    found = {}
    if "carillon" in bulk and bulk.get("river", {}).get("rate"):
        found["dispatches/s, times River's"] = bulk["carillon"]["rate"] / bulk["river"]["rate"]
        found["CPU per dispatch, times River's"] = bulk["carillon"]["cpu"] / bulk["river"]["cpu"]
    if "carillon" in pace:
        found["p99 lateness, ms"] = pace["carillon"]["late_p99_ms"]
    print()
    for what, value in found.items():
        bound, at_least = RULE[what]
        met = value >= bound if at_least else value <= bound
        print(f"{'met    ' if met else 'NOT MET'} {what}: {value:.2f} (goal: {'at least' if at_least else 'at most'} {bound:g})")


def main(path):
    runs = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    tables = {}
    for run in runs:
        tables.setdefault(run["mode"], {}).setdefault(name_of(run), []).append(run)
    tables = {mode: {name: medians(of) for name, of in names.items()} for mode, names in tables.items()}
    print(f"\n{os.cpu_count()} CPUs, {platform.platform()}; medians")
    for mode, rows in tables.items():
        show(mode, rows)
        if mode.startswith("bulk"):
            ratios(rows)
    goals(tables)
    return 0 if all(run["ok"] for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
