"""A sweep on a real Dask scheduler with two worker processes, one of which is killed half-way.

Run as `python tests/python/test_dask.py PATH-OF-HEADROOM`; ends with 0 if the files are those of one process.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "python"))

import headroom_dask  # noqa: E402
from dask.distributed import Client  # noqa: E402

SCENARIO = ROOT / "scenarios" / "lambda-to-kubernetes.json"
VARY = ["workload.*.load.closed.users=50..400:50"]
SETTINGS = {"designs": ["nginx", "lambda"], "replications": 4}


def one_process(program: str, out: Path) -> None:
    command = [program, "sweep", str(SCENARIO), "--vary", VARY[0], "--quiet", "--out", str(out)]
    command += ["--design", "nginx", "--design", "lambda", "--replications", "4"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix != ".journal"}


def dask(*words: str) -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli." + words[0], *words[1:]],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def main(program: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        one_process(program, base / "one")
        address = str(base / "scheduler.json")
        started = [dask("dask_scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", address)]
        try:
            worker = ["dask_worker", "--scheduler-file", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            workers = [dask(*worker) for _ in range(2)]
            started += workers
            with Client(scheduler_file=address, timeout=120) as client:
                client.wait_for_workers(2, timeout=120)
                done = threaded(lambda: headroom_dask.sweep(
                    client, SCENARIO, VARY, base / "many", shards=8, program=program, **SETTINGS
                ))
                # The first shards are done and the others are running: now one of the two workers dies.
                while not any("memory" == s for s in states(client).values()):
                    time.sleep(0.01)
                os.kill(workers[0].pid, signal.SIGKILL)
                left = sum(s != "memory" for s in states(client).values())
                table = done()
        finally:
            for process in reversed(started):
                process.kill()
                process.wait()
        assert left > 0, "the worker was killed too late"
        alone, together = files(base / "one"), files(base / "many")
        assert alone.keys() == together.keys() and len(alone) > 4, sorted(together)
        for name, content in alone.items():
            assert together[name] == content, f"{name} differs"
        assert "8 points" in table, table
        print(f"{len(alone)} files are the same bytes; a worker was killed with {left} of 8 shards to do")


def states(client: Client) -> dict[str, str]:
    return client.run_on_scheduler(
        lambda dask_scheduler: {
            key: task.state for key, task in dask_scheduler.tasks.items() if "shard" in str(key)
        }
    )


def threaded(work):
    """Runs work in a thread; the answer waits for it."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1)
    future = pool.submit(work)

    def result():
        pool.shutdown(wait=True)
        return future.result()

    return result


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).resolve()))
