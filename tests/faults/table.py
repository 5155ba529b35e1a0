# SPDX-License-Identifier: Apache-2.0
"""Makes the table of what was injected and how it ended from the fault suite's reports.

python tests/faults/table.py REPORT...             as Markdown; fails if a scenario that was run has never struck
python tests/faults/table.py --readme REPORT...    puts it into tests/faults/README.md
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
BEGIN, END = "<!-- table: made by table.py -->\n", "<!-- end of table -->\n"


def scenarios():
    for line in (HERE / "scenarios.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            name, at, _, _, _, gap = line.split("\t")
            yield name, at, gap


def kind_of(fault):
    """Without what its seed drew: pg.done:claim=kill@3 is pg.done:claim=kill, cut=2 is cut."""
    strike = fault.partition("@")[0]
    return strike if "." in strike.partition("=")[0] else strike.partition("=")[0]


def read(paths):
    """By scenario: seeds, and of each kind of fault how often it struck; runs that ended badly. A later run replaces the same one."""
    seeds, struck, missed, wrong = defaultdict(set), defaultdict(Counter), Counter(), defaultdict(list)
    runs = {}
    for path in paths:
        for line in Path(path).read_text().splitlines():
            run = json.loads(line)
            runs[run["scenarios"], run["seed"]] = run
    for run in runs.values():
        for name, fault in run["faults"].items():
            seeds[name].add(run["seed"])
            if fault["struck"]:
                struck[name][kind_of(fault["fault"])] += 1
            else:
                missed[name] += 1
            if run["wrong"]:
                wrong[name].append(f"{run['scenarios']} seed {run['seed']}")
    return seeds, struck, missed, wrong


def rows(paths):
    seeds, struck, missed, wrong = read(paths)
    yield "| | gap or link | at | faults, and how often they struck | seeds | never came by | O1 to O5 |"
    yield "|---|---|---|---|---|---|---|"
    total = 0
    for name, at, gap in scenarios():
        if name not in seeds:
            continue
        total += sum(struck[name].values())
        faults = ", ".join(f"`{fault}` {times}" for fault, times in sorted(struck[name].items()))
        held = "held" if not wrong[name] else f"**broken**: {', '.join(wrong[name])}"
        yield f"| {name} | {gap} | {at} | {faults} | {len(seeds[name])} | {missed[name] or ''} | {held} |"
    yield ""
    yield f"{total} strikes; runs that ended badly: {len({run for runs in wrong.values() for run in runs})}."


def main(arguments):
    into_readme = arguments[:1] == ["--readme"]
    text = "\n".join(rows(arguments[into_readme:])) + "\n"
    if not into_readme:
        print(text, end="")
        seeds, struck, _, _ = read(arguments)
        if harmless := [name for name in seeds if not struck[name]]:
            sys.exit(f"never struck, and so showed nothing: {', '.join(harmless)}")
        return
    readme = HERE / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    readme.write_text(before + BEGIN + text + END + rest.partition(END)[2])


if __name__ == "__main__":
    main(sys.argv[1:])
