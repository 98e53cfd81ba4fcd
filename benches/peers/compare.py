#!/usr/bin/env python3
"""M/M/10 at 90 % load on SimPy, Ciw and Headroom in one run: processor time a customer, and the mean time in the system.

    benches/peers/compare.py HEADROOM [FOLDER]

HEADROOM is a release executable. The peers are installed from PyPI into FOLDER (`target/peers`), at the versions of
`requirements.txt`. Each engine runs three times in turn, and the best counts, less the cost of a run that is ten times shorter.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
SERVERS, SERVICE, LOAD = 10, 0.01, 0.9
RATE = LOAD * SERVERS / SERVICE
# Erlang C for 10 servers at 9 erlangs: 0.66873; mean wait 0.66873 * 0.01 / (10 - 9).
THEORY = SERVICE + 0.66873 * SERVICE / (SERVERS * (1 - LOAD))

SIMPY = f"""
import random, simpy
random.seed(1)
env = simpy.Environment()
station = simpy.Resource(env, {SERVERS})
done = [0, 0.0]
def customer():
    came = env.now
    with station.request() as place:
        yield place
        yield env.timeout(random.expovariate({1 / SERVICE}))
    done[0] += 1
    done[1] += env.now - came
def source():
    for _ in range(CUSTOMERS):
        yield env.timeout(random.expovariate({RATE}))
        env.process(customer())
env.process(source())
env.run()
print(done[0], done[1] / done[0])
"""

CIW = f"""
import ciw
network = ciw.create_network(arrival_distributions=[ciw.dists.Exponential({RATE})],
    service_distributions=[ciw.dists.Exponential({1 / SERVICE})], number_of_servers=[{SERVERS}])
ciw.seed(1)
run = ciw.Simulation(network)
run.simulate_until_max_customers(CUSTOMERS, method="Finish")
rows = run.get_all_records()
print(len(rows), sum(row.exit_date - row.arrival_date for row in rows) / len(rows))
"""


def scenario(customers: int) -> str:
    steady = {"rate": f"{RATE:g}/s", "for": f"{customers / 2 / RATE:g}s"}
    return json.dumps({
        "name": "station",
        "workload": {"users": {"load": {"open": {"rate": {"steady": steady}}}, "request": "job",
            "connection": {"rtt": "0s", "tls": False, "keepalive": False}}},
        "work": {"job": [{"wait": {"exponential": {"mean": f"{SERVICE * 1000:g}ms"}}}]},
        "designs": {"d": {"enter": {"users": "s"}, "nodes": {"s": {"pods":
            {"replicas": 1, "runtime": {"threads": {"threads": SERVERS}}}}}}},
        "run": {"replications": 2, "seed": 1},
    })


def timed(command: list[str]) -> tuple[float, str]:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, out


def main() -> None:
    headroom = sys.argv[1]
    folder = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "target/peers")
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)

    with tempfile.TemporaryDirectory() as scratch:

        def ours(customers: int) -> tuple[float, int, float]:
            file = pathlib.Path(scratch, "station.json")
            file.write_text(scenario(customers))
            seconds, out = timed([headroom, "run", str(file), "--format", "json"])
            design = json.loads(out)["designs"][0]
            return seconds, customers, design["latency"]["mean"]["value"]

        def peer(code: str):
            def run(customers: int) -> tuple[float, int, float]:
                seconds, out = timed([str(python), "-c", code.replace("CUSTOMERS", str(customers))])
                done, mean = out.split()
                return seconds, int(done), float(mean)

            return run

        engines = {"headroom": (ours, 5_000_000), "SimPy": (peer(SIMPY), 300_000), "Ciw": (peer(CIW), 100_000)}
        cost = {name: float("inf") for name in engines}
        mean = {}
        for _ in range(3):
            for name, (run, customers) in engines.items():
                short, few, _ = run(customers // 10)
                long, many, mean[name] = run(customers)
                cost[name] = min(cost[name], (long - short) / (many - few))
    print(f"{'engine':<10}{'us/customer':>12}{'ratio':>8}{'mean s':>10}   (theory {THEORY:.5f})")
    for name, each in cost.items():
        print(f"{name:<10}{each * 1e6:>12.3f}{each / cost['headroom']:>8.1f}{mean[name]:>10.5f}")


main()
