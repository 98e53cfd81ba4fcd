"""Runs the headroom program and reads what it writes. What the notebooks share, nothing more."""

import io
import json
import os
import pathlib
import subprocess
import tempfile

import matplotlib.pyplot as plt
import pandas as pd

ROOT = pathlib.Path(__file__).resolve().parent.parent
plt.rcParams.update({"figure.figsize": (8, 3.6), "figure.dpi": 100, "axes.spines.top": False,
                     "axes.spines.right": False, "axes.grid": True, "axes.axisbelow": True, "grid.alpha": 0.3, "font.size": 10})
# Told apart by people who do not see colours alike (Okabe and Ito).
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#888888"


def program():
    """The binary: $HEADROOM_BIN, else the newer one of `cargo build` and `cargo build --release`."""
    if "HEADROOM_BIN" in os.environ:
        return os.environ["HEADROOM_BIN"]
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [p for p in (target / "release/headroom", target / "debug/headroom") if p.exists()]
    if not built:
        raise FileNotFoundError("no binary: run `cargo build --release` first")
    return str(max(built, key=lambda p: p.stat().st_mtime))


def scenario(name):
    """An example of this repository, to be changed."""
    return json.loads((ROOT / "scenarios" / f"{name}.json").read_text())


def headroom(*args, files=(), fine=(0, 98, 99)):
    """Output of a command. `files` are scenarios or results, written to files and put after the command's name."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, content in enumerate(files):
            path = pathlib.Path(folder) / f"{number}.json"
            path.write_text(json.dumps(content))
            paths.append(str(path))
        # A notebook is no pull request.
        env = {k: v for k, v in os.environ.items() if k != "GITHUB_STEP_SUMMARY"}
        done = subprocess.run([program(), args[0], *paths, *map(str, args[1:]), "--quiet"],
                              capture_output=True, text=True, env=env)
        if done.returncode not in fine:
            raise RuntimeError(done.stderr)
        return done.stdout


def run(content, *args):
    """The whole result."""
    return json.loads(headroom("run", "--format", "json", *args, files=[content]))


def summary(content, *args):
    """The summary as a table: design, metric, value, low, high, unit."""
    return pd.read_csv(io.StringIO(headroom("run", "--format", "csv", *args, files=[content])))


def find(content, *args):
    """The answer of a search."""
    return json.loads(headroom("find", "--format", "json", *args, files=[content]))


def diff(base, new, *args):
    """What changed, as a table."""
    return pd.read_csv(io.StringIO(headroom("diff", "--format", "csv", *args, files=[base, new])))


def assigned(content, **paths):
    """A copy with values set; `a__b__c=1` sets a.b.c."""
    copy = json.loads(json.dumps(content))
    for path, value in paths.items():
        *way, last = path.split("__")
        place = copy
        for key in way:
            place = place[key]
        place[last] = value
    return copy


def band(axes, x, table, label, colour, scale=1.0):
    """A line of estimates with their 95 % intervals."""
    axes.fill_between(x, table.low * scale, table.high * scale, color=colour, alpha=0.25, lw=0)
    axes.plot(x, table.value * scale, "o-", ms=4, color=colour, label=label)
