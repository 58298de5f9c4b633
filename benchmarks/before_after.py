"""Has anything got slower? Two checkouts, each with a `.venv` of its own, take turns.

    git worktree add ../before COMMIT          # and build both: make test, or pip install -e .
    python benchmarks/before_after.py ../before . --rounds 7
    python benchmarks/before_after.py ../before . start

start: processor seconds of `sfumato --help`, `--version`, `runs`, and `runs` of 200 runs.
paint: seconds from the command to the line that names the run, and processor seconds of a run of one step.
engine: samples a processor second of the native engine, one thread, each checkout in a process that stays.

Ratios of the same round count, the median with its smallest and largest; who begins alternates.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

OPTIONS = ["--epochs", "1", "--net", "4", "--max-pixels", "200", "--film", "none"]

ENGINE = """
import sys, time
import numpy as np
from sfumato import nets
from sfumato.data import Data
from sfumato.engine import native
from sfumato.recipe import Recipe, named
try:
    from sfumato.picture import pixels
except ImportError:  # before the wings
    from sfumato import pixels
xy = pixels.coordinates(429, 300)
x, y = 6 * xy.T
waves = 0.5 + 0.5 * np.stack([np.sin(3 * x + y), np.cos(x * y / 2), np.sin(y * y)], 1)
data = Data(xy, waves.astype(np.float32), xy[:0], np.empty((0, 3), np.float32))
adam = Recipe(optimizer="adam", schedule="constant", rate=1e-4, threads=1)
WORKS = {
    "4x300 relu, Adam, B=1024, float32": (adam.replace(batch=1024), 16),
    "4x300 relu, Adam, B=8192, bfloat16": (adam.replace(batch=8192, precision="bfloat16"), 4),
    "4x256 sine, Adam, B=4096, float32": (adam.replace(net=(256,) * 4, activation="sine:omega=30", batch=4096), 4),
    "grid + 2x64, Adam, B=8192, float32": (named("sharp").replace(
        schedule="constant", rate=1e-3, precision="float32", threads=1), 16),
    "2012, a sample a step": (named("2012").replace(threads=1), 4096),
}
sessions = {}
for name, (recipe, steps) in WORKS.items():
    session = native.NativeSession(nets.build(recipe, 2, 3, aspect=429 / 300), data, recipe, 1 << 20)
    session.advance(steps)
    sessions[name] = session, steps, recipe.batch
print("|".join(WORKS), flush=True)
for line in sys.stdin:
    session, steps, batch = sessions[line.strip()]
    before = time.process_time()
    session.advance(steps)
    print(steps * batch / (time.process_time() - before), flush=True)
"""

Measure = Callable[[Path], float]


def python(tree: Path) -> str:
    return str(tree / ".venv/bin/python")


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"OMP_NUM_THREADS": "1"}


def used(tree: Path, folder: Path, *arguments: str) -> float:
    """Processor seconds of one command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [python(tree), "-m", "sfumato", *arguments]
    subprocess.run(command, check=True, cwd=folder, capture_output=True, env=environment())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def until_named(tree: Path, folder: Path) -> float:
    """Seconds from the command to the line that names the run."""
    started, found = time.perf_counter(), float("nan")
    command = [python(tree), "-m", "sfumato", "paint", *OPTIONS]
    with subprocess.Popen(
        command, cwd=folder, stderr=subprocess.PIPE, text=True, env=environment()
    ) as running:
        assert running.stderr
        for line in running.stderr:
            if line.startswith("run "):
                found = time.perf_counter() - started
    return found


def row(what: str, before: Path, after: Path, rounds: int, measure: Measure, digits: int = 3) -> None:
    """Print a line of the table. A first round, not counted, fills caches."""
    pairs = []
    for number in range(rounds + 1):
        order = (before, after) if number % 2 else (after, before)
        found = {tree: measure(tree) for tree in order}
        pairs += [(found[before], found[after])] if number else []
    ratios = sorted(b / a for a, b in pairs)
    middle = [f"{statistics.median(side):,.{digits}f}" for side in zip(*pairs, strict=True)]
    print(
        f"| {what} | {middle[0]} | {middle[1]} | **{statistics.median(ratios):.2f}** |"
        f" {ratios[0]:.2f} to {ratios[-1]:.2f} |",
        flush=True,
    )


def start(before: Path, after: Path, rounds: int, folder: Path) -> None:
    """Commands that should be light."""
    for verb in ("--help", "--version", "runs"):
        row(
            f"`sfumato {verb}`, CPU-s",
            before,
            after,
            rounds,
            lambda tree, verb=verb: used(tree, folder, verb),
        )
    many = folder / "many"
    many.mkdir()
    used(before, many, "paint", *OPTIONS, "--quiet")
    (made,) = (many / "runs").iterdir()
    for number in range(199):
        shutil.copytree(made, many / "runs" / f"copy_{number:03d}")
    row("`sfumato runs` of 200, CPU-s", before, after, rounds, lambda tree: used(tree, many, "runs"))


def paint(before: Path, after: Path, rounds: int, folder: Path) -> None:
    """A run of one step."""
    named = "`paint` to the line that names the run, s"
    row(named, before, after, rounds, lambda tree: until_named(tree, folder))
    row(
        "`paint` of one step, CPU-s",
        before,
        after,
        rounds,
        lambda tree: used(tree, folder, "paint", *OPTIONS),
    )


def engine(before: Path, after: Path, rounds: int, folder: Path) -> None:
    """The native engine: more is better."""
    running, names = {}, ""
    for tree in (before, after):
        pipe = subprocess.PIPE
        command = [python(tree), "-c", ENGINE]
        running[tree] = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, cwd=folder, env=environment()
        )
        names = running[tree].stdout.readline().strip()

    def rate(tree: Path, name: str) -> float:
        running[tree].stdin.write(name + "\n")
        running[tree].stdin.flush()
        return float(running[tree].stdout.readline())

    for name in names.split("|"):
        row(f"{name}, samples a CPU-s", before, after, rounds, lambda tree, name=name: rate(tree, name), 0)
    for one in running.values():
        one.communicate()


PARTS = {"start": start, "paint": paint, "engine": engine}


def main() -> None:
    """Print the table as Markdown."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("before", type=Path)
    options.add_argument("after", type=Path)
    options.add_argument("parts", nargs="*", default=list(PARTS), help=", ".join(PARTS))
    options.add_argument("--rounds", type=int, default=7)
    wanted = options.parse_args()
    print(
        "| what | before | after | after / before | smallest to largest |\n|---|---|---|---|---|", flush=True
    )
    with tempfile.TemporaryDirectory() as folder:
        for part in wanted.parts:
            trees = wanted.before.resolve(), wanted.after.resolve()
            PARTS[part](*trees, wanted.rounds, Path(folder))


if __name__ == "__main__":
    main()
