"""Runs a sweep on a Dask cluster, shard by shard, through the `headroom` program.

    from dask.distributed import Client
    import headroom_dask

    with Client("tcp://scheduler:8786") as client:
        headroom_dask.sweep(client, "burst.json", ["workload.*.load.closed.users=100..2000:100"], "out", shards=8)

A shard is one task: it gets the text of the scenario, runs `headroom sweep --shard K/N` in a folder of its own, and
answers with its journal. Nothing is shared between machines but the program. If a worker dies, Dask gives its shards to
another one; a shard gives the same bytes wherever it runs, so the merged result is that of one process.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["SweepError", "sweep"]


class SweepError(RuntimeError):
    """The program refused the sweep or failed; the text is what it wrote on standard error."""


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SweepError(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")
    return done.stdout


def _shard(
    index: int,
    count: int,
    scenario: tuple[str, bytes],
    files: Mapping[str, bytes],
    arguments: Sequence[str],
    program: str,
) -> tuple[str, bytes]:
    """One shard, on a worker: name and bytes of its journal."""
    with tempfile.TemporaryDirectory(prefix="headroom-") as folder:
        base = Path(folder)
        for name, content in files.items():
            path = base / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        name, content = scenario
        (base / name).write_bytes(content)
        out = base / "out"
        # Dask runs one task a thread, so a shard computes on one.
        _run(
            [program, "sweep", str(base / name), *arguments, "--shard", f"{index}/{count}"]
            + ["--out", str(out), "--threads", "1", "--quiet"]
        )
        journal = next(out.glob("*.journal"))
        return journal.name, journal.read_bytes()


def sweep(
    client,
    scenario: str | Path,
    vary: Sequence[str],
    out: str | Path,
    *,
    shards: int = 8,
    designs: Sequence[str] = (),
    seed: int | None = None,
    replications: int | None = None,
    precision: str | None = None,
    files: Sequence[str] = (),
    program: str = "headroom",
    worker_program: str | None = None,
    retries: int = 3,
) -> str:
    """Runs a sweep on the workers of a `dask.distributed.Client` and merges it into the folder `out`.

    scenario        scenario file
    vary            values as for `headroom sweep --vary`
    precision       as for `headroom sweep --precision`, such as "5%"
    shards          number of tasks; two or three for each thread of the cluster balance it well
    files           files that the scenario names, relative to its folder; they are sent along
    program         the program here, for the merge; worker_program where it lies elsewhere on the workers
    retries         how often a shard whose program failed is tried again; a lost worker does not count

    Returns what `headroom merge` prints: the table of the sweep.
    """
    if shards < 1:
        raise ValueError("shards must be at least 1")
    source = Path(scenario)
    arguments = [word for value in vary for word in ("--vary", value)]
    arguments += [word for name in designs for word in ("--design", name)]
    arguments += [] if seed is None else [f"--seed={seed}"]
    arguments += [] if replications is None else [f"--replications={replications}"]
    arguments += [] if precision is None else [f"--precision={precision}"]
    sent = {name: (source.parent / name).read_bytes() for name in files}
    futures = [
        client.submit(
            _shard,
            index,
            shards,
            (source.name, source.read_bytes()),
            sent,
            arguments,
            worker_program or program,
            retries=retries,
            pure=False,
            key=f"headroom-shard-{index}-of-{shards}-{source.stem}",
        )
        for index in range(1, shards + 1)
    ]
    with tempfile.TemporaryDirectory(prefix="headroom-") as folder:
        for name, content in client.gather(futures):
            (Path(folder) / name).write_bytes(content)
        return _run([program, "merge", folder, "--out", str(out)])
