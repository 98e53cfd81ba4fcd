#!/usr/bin/env python3
"""Peak memory: bytes for each user in flight, and whether memory grows with the length of a run.

    benches/memory.py HEADROOM [USERS]

* USERS (1,000,000) users at time 0 through nginx and pods to the end, against a run with a thousandth of them.
* One design at the same load for a while, and for ten times as long.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time


def peak(command: list[str]) -> tuple[int, float]:
    """Largest resident size in bytes, and seconds."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, _, usage = os.wait4(child.pid, 0)
    return usage.ru_maxrss * 1024, time.monotonic() - start


def burst(users: int) -> dict:
    return {
        "name": "burst",
        "workload": {"users": {"load": {"closed": {"users": users, "requests_per_user": 1}}, "request": "job",
            "patience": {"timeout": "600s"}, "retry": {"none": {}}, "connection": {"rtt": "20ms", "tls": False}}},
        "work": {"job": [{"cpu": {"exponential": {"mean": "1ms"}}}]},
        "designs": {"d": {"enter": {"users": "edge"}, "nodes": {
            "edge": {"nginx": {"upstream": ["api"], "workers": 8, "worker_connections": 500000, "nofile": 2000000,
                "host": {"instance": "c5.xlarge"}}},
            "api": {"pods": {"replicas": 64, "hosts": {"count": 16, "instance": "t3.medium", "vcpu": 4}, "runtime": {"event_loop": {}}}}}}},
        "run": {"replications": 2, "seed": 1, "horizon": "3600s"},
    }


def steady(seconds: int) -> dict:
    scenario = burst(1)
    scenario["workload"]["users"]["load"] = {"open": {"rate": {"steady": {"rate": "2000/s", "for": f"{seconds}s"}}}}
    return scenario


def main() -> None:
    program, users = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:

        def run(scenario: dict) -> tuple[int, float]:
            file = pathlib.Path(folder, "scenario.json")
            file.write_text(json.dumps(scenario))
            return peak([program, "run", str(file), "--threads", "1", "--format", "json"])

        (few, _), (many, seconds) = run(burst(users // 1000)), run(burst(users))
        each = (many - few) / (users - users // 1000)
        print(f"{users} users at once: {many / 1e6:.0f} MB, {each:.0f} bytes a user in flight, {seconds:.1f} s for two replications")
        (short, _), (long, _) = run(steady(60)), run(steady(600))
        print(f"60 s: {short / 1e6:.1f} MB; 600 s: {long / 1e6:.1f} MB, {100 * (long / short - 1):+.1f} %")


main()
