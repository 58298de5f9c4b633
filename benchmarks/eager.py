"""Three speeds of the package as ratios: A and B take turns in one process, the median ratio counts.

    python benchmarks/eager.py                 all three
    python benchmarks/eager.py loop start watching --rounds 30 --record benchmarks/record.md

loop: steps of the eager engine against the bare loop of `examples/paint.py`, classic net and batch: at most 1.10.
start: `sfumato --help`, `--version` and `runs` against `python -c "import torch"`: at most 1/5.
watching: what frames, metrics, kept weights, checkpoints and film add to 500 epochs of the classic recipe, on the
engine that `auto` chooses: at most 5 %.

A verdict is refused where the middle half of the ratios lies on both sides of the bound. Exits with 4 if a bound is
broken.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import torch

from sfumato import engine, nets
from sfumato.data import Array
from sfumato.engine import eager
from sfumato.experiment import perform, prepare
from sfumato.machine import processor
from sfumato.picture import from_array, save
from sfumato.recipe import Recipe, named
from sfumato.run import Run
from sfumato.runs.watch import Watch
from sfumato.tasks import picture as task
from sfumato.timing import spent, take_turns
from sfumato.training import train

HEIGHT, WIDTH = 429, 300
"""The size of the picture that the classic recipe was chosen for; its content does not change the speed."""

CHUNK = 2
"""Steps a turn: about a third of a second, so that a neighbour's load falls on both sides alike."""


@dataclass(frozen=True)
class Verdict:
    """Ratios of A to B, and the bound they are held to."""

    what: str
    ratios: list[float]
    bound: float

    @property
    def quartiles(self) -> tuple[float, float, float]:
        """Lower quartile, median, upper quartile."""
        if len(self.ratios) == 1:
            return (self.ratios[0],) * 3
        low, middle, high = statistics.quantiles(self.ratios, n=4)
        return low, middle, high

    @property
    def text(self) -> str:
        """One line of Markdown."""
        low, middle, high = self.quartiles
        if low <= self.bound < high:
            judged = "no verdict: the spread crosses the bound"
        else:
            judged = "reached" if middle <= self.bound else "MISSED"
        return (
            f"{self.what}: **{middle:.3f}** ({low:.3f} to {high:.3f}, {len(self.ratios)} rounds), "
            f"bound {self.bound:g}: {judged}"
        )

    @property
    def missed(self) -> bool:
        """Whether the bound is broken beyond the spread."""
        return self.quartiles[0] > self.bound


def witness() -> ModuleType:
    """`examples/paint.py` as a module."""
    path = Path(__file__).parents[1] / "examples" / "paint.py"
    spec = importlib.util.spec_from_file_location("paint", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def scene() -> Array:
    """A picture of waves, (HEIGHT, WIDTH, 3) in [0, 1]."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / np.float32(50)
    waves = np.stack([np.sin(3 * x + y), np.cos(x * y / 2), np.sin(y * y)], -1)
    return (0.5 + 0.5 * waves).astype(np.float32)


def turns(rounds: int, a: Callable[[], object], b: Callable[[], object]) -> list[float]:
    """Ratios of the wall seconds of two rivals, one a round."""
    return [one.wall / two.wall for one, two in zip(*take_turns(rounds, a, b), strict=True)]


def loop(rounds: int, threads: int) -> list[Verdict]:
    """The eager engine against the bare loop: same net, start, batch, order, optimizer, threads, float32."""
    bare, recipe = witness(), named("classic").replace(engine="eager", threads=threads)
    colours = torch.from_numpy(scene().reshape(-1, 3))
    data = task.pixel_data(from_array(scene()), recipe)
    session = eager.prepare(nets.build(recipe, 2, 3), data, recipe, recipe.total_steps(data.samples))
    losses = bare.train(bare.build(), bare.places(HEIGHT, WIDTH), colours, int(recipe.epochs))
    ratios = turns(rounds, lambda: session.advance(CHUNK), lambda: list(islice(losses, CHUNK)))
    return [Verdict(f"eager engine / bare loop, threads: {torch.get_num_threads()}", ratios, 1.10)]


def start(rounds: int, threads: int) -> list[Verdict]:
    """New interpreters: the commands that should be light against the import of torch."""
    with tempfile.TemporaryDirectory() as empty:

        def lasting(*command: str) -> Callable[[], object]:
            return lambda: subprocess.run(command, check=True, capture_output=True, cwd=empty)

        python, sfumato = sys.executable, str(Path(sys.executable).with_name("sfumato"))
        heavy = lasting(python, "-c", "import torch")
        return [
            Verdict(f"`sfumato {verb}` / `import torch`", turns(rounds, lasting(sfumato, verb), heavy), 0.2)
            for verb in ("--help", "--version", "runs")
        ]


def watching(rounds: int, threads: int) -> list[Verdict]:
    """What a whole run spends beside training, as a share of the training time of 500 epochs."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "scene.png"
        save(from_array(scene()), source)
        recipe = named("classic").replace(threads=threads)
        shares = [watched(recipe, source) for _ in range(rounds)]
    return [
        Verdict(f"watching 500 epochs / training them, engine {engine.settle(recipe).engine}", shares, 0.05)
    ]


def watched(recipe: Recipe, source: Path) -> float:
    """The share, in processor seconds, from a short run.

    It has as many beats as a long one, hence the same frames, metrics, kept weights and film. What training alone
    takes for as many steps is subtracted from it, and scaled to all steps for the comparison. Checkpoints come by
    the clock: their cost, timed apart, is multiplied by their number in the long run.
    """
    total, short = recipe.total_steps(HEIGHT * WIDTH), recipe.replace(steps=160)
    data, net = prepare(short, str(source))
    for last in train(net, data, short):  # once unmeasured: threads start, pages are touched
        wall = last.seconds
    # Processor seconds of all threads: a neighbour's load stretches them far less than the clock's.
    alone = spent(lambda: list(train(net, data, short))).cpu
    runs: list[Run] = []
    whole = spent(lambda: runs.append(perform(short, str(source), out=source.parent))).cpu
    if runs[0].stopped_by:
        raise KeyboardInterrupt
    kept = runs[0].checkpoint()
    scale = total / short.steps
    checkpoints = spent(lambda: runs[0].save_checkpoint(*kept)).cpu * wall * scale / Watch().checkpoint
    looks = whole - alone
    told = f"training {alone * scale:.0f}, beats and film {looks:.1f}, checkpoints {checkpoints:.1f}"
    print(f"  processor seconds: {told}", file=sys.stderr)
    return (looks + checkpoints) / (alone * scale)


PARTS: dict[str, tuple[Callable[[int, int], list[Verdict]], int]] = {
    "loop": (loop, 40),
    "start": (start, 10),
    "watching": (watching, 2),
}
"""Each part and its usual number of rounds."""


def main() -> int:
    """Run what was asked for; 4 if a bound is broken."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("what", nargs="*", default=list(PARTS), help="loop, start, watching")
    options.add_argument(
        "--rounds", type=int, default=0, help="default: 40 for loop, 10 for start, 2 for watching"
    )
    options.add_argument("--threads", type=int, default=0, help="0: all that this process may use")
    options.add_argument("--record", type=Path, help="a Markdown file to which the verdicts are added")
    wanted = options.parse_args()
    if unknown := set(wanted.what) - set(PARTS):
        options.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(PARTS)}")
    verdicts: list[Verdict] = []
    for part in wanted.what:
        measure, usual = PARTS[part]
        verdicts += measure(wanted.rounds or usual, wanted.threads)
    lines = [f"- {verdict.text}" for verdict in verdicts]
    print("\n".join(lines))
    if wanted.record:
        head = f"\n## {date.today()}, {processor()}, torch {torch.__version__}, `benchmarks/eager.py`\n\n"
        with wanted.record.open("a", encoding="utf-8") as record:
            record.write(head + "\n".join(lines) + "\n")
    return 4 if any(verdict.missed for verdict in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
