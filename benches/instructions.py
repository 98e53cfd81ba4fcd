#!/usr/bin/env python3
"""Instructions per request of each path, by callgrind, held against `budgets.json` with 5 % slack.

    benches/instructions.py COUNT            check
    benches/instructions.py COUNT --write    write what was counted as the new budgets

COUNT is the executable that `cargo build --profile count --bench count` makes. Every path is run at two lengths, and the
difference is divided by the difference in requests: what is fixed cancels out. Unlike times, the figure repeats on a busy machine.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

SLACK = 1.05
BUDGETS = pathlib.Path(__file__).with_name("budgets.json")


def counted(program: str, path: str, seconds: str) -> tuple[int, int]:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, path, seconds]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if not found:
        sys.exit(f"callgrind said nothing of {path}:\n{run.stderr}")
    return int(found[1]), int(run.stdout.split()[0])


def per_request(program: str, path: str, short: str, long: str) -> float:
    (few, requests), (many, all_requests) = counted(program, path, short), counted(program, path, long)
    return (many - few) / (all_requests - requests)


def main() -> None:
    program, write = sys.argv[1], "--write" in sys.argv
    listed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    paths = [line.split() for line in listed.splitlines()]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        counts = list(pool.map(lambda row: per_request(program, *row), paths))
    figures = {row[0]: round(count) for row, count in zip(paths, counts)}
    if write:
        BUDGETS.write_text(json.dumps(figures, indent=2) + "\n")
    budgets = json.loads(BUDGETS.read_text())
    for path, count in figures.items():
        print(f"{path:<14} {count:>7} instructions a request, budget {budgets[path]}")
    over = [path for path, count in figures.items() if count > SLACK * budgets[path]]
    grown = figures["lambda_10000"] / figures["lambda_1000"]
    print(f"10,000 environments cost {grown:.2f} times what 1,000 do")
    if over:
        sys.exit(f"over the budget by more than 5 %: {', '.join(over)}")
    if grown > 1.25:
        sys.exit("10,000 environments may cost 1.25 times what 1,000 do")


main()
