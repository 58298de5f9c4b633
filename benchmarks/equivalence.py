"""Do the native engine's float32 and bfloat16 paint as well as the specification? PSNR over seeds.

    python benchmarks/equivalence.py                                     everything, about three hours of one core
    python benchmarks/equivalence.py relu sharp --epochs 20 100 --seeds 3
    python benchmarks/equivalence.py --table-only                        the table of what has been measured so far

Each recipe is trained by the eager engine in float32, the native engine in float32 and the native engine in
bfloat16, with the same start and the same minibatches for a seed, each budget with its own schedule. The picture is
the Mona Lisa reduced by the mean of squares of pixels (`--shrink`), and batches are reduced too, so that an epoch
has 7 to 28 steps: the whole of it at 300x429 would take a day. On a much smaller picture these nets
memorise every pixel to 60 dB and more, which says little about the pictures people have.

Results are added to a file of JSON lines as they come, and what stands there is not measured again, so a run that
was stopped goes on. A change of `--shrink`, `--picture` or of a recipe counts as another measurement.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from sfumato import machine, nets
from sfumato.data import Data
from sfumato.picture import Picture
from sfumato.recipe import NAMED, Recipe, named
from sfumato.tasks import picture as task
from sfumato.training import train

RECIPES = {
    "relu": Recipe(optimizer="adam", rate=1e-3, batch=512),  # the 2012 net with Adam, cosine
    "classic": named("classic").replace(batch=2048),
    "siren": named("siren").replace(batch=1024),
    "finer": named("finer").replace(batch=1024),
    "fourier": named("fourier").replace(batch=2048),
    "sharp": named("sharp").replace(batch=2048),
}
ENGINES = {
    "eager float32": {"engine": "eager", "precision": "float32"},
    "native float32": {"engine": "native", "precision": "float32"},
    "native bfloat16": {"engine": "native", "precision": "bfloat16"},
}


@dataclass(frozen=True)
class Measurement:
    """One training."""

    recipe: str
    epochs: int
    seed: int
    engine: str

    def full(self, data: Data) -> Recipe:
        """What is trained: a named recipe keeps its own batch on a picture of the usual size."""
        small = RECIPES[self.recipe]
        chosen: dict[str, Any] = ENGINES[self.engine]
        if data.samples > 100_000 and self.recipe in NAMED:
            chosen = chosen | {"batch": named(self.recipe).batch}
        return small.replace(epochs=self.epochs, seed=self.seed, threads=1, **chosen)

    def key(self, data: Data) -> str:
        """Names the recipe and the picture exactly."""
        digest = hashlib.sha256(self.full(data).to_json().encode())
        digest.update(data.targets.tobytes())
        return digest.hexdigest()[:16]


def reduced(source: str | None, by: int) -> Data:
    """The pixels of a picture each of whose pixels is the mean of `by` x `by` of the original's."""
    shown: Picture = task.load(source, Recipe()).facts["picture"]
    height, width = shown.height // by, shown.width // by
    squares = shown.values[: height * by, : width * by].reshape(height, by, width, by, shown.channels)
    return task.pixel_data(Picture(squares.mean((1, 3)), name=shown.name), Recipe())


def measure(which: Measurement, data: Data) -> dict[str, Any]:
    """Train, and say how good the painting is: a line of the file."""
    recipe = which.full(data)
    net = nets.build(recipe, 2, data.targets.shape[1], aspect=data.facts["aspect"])
    started = time.process_time()
    for tick in train(net, data, recipe):
        loss = tick.loss
    scores = task.score(net, data, task.draw(net, data))
    spent = time.process_time() - started
    return {**vars(which), "key": which.key(data), **scores, "loss": loss, "cpu_seconds": round(spent, 2)}


def table(lines: Iterable[dict[str, Any]], keys: set[str], names: list[str]) -> str:
    """Means and standard deviations over seeds, and paired differences from the first engine with standard errors.

    lines: of the file; keys: of those that count; names: of the engines, one or more.
    """
    found: dict[tuple[str, int], dict[str, dict[int, float]]] = {}
    for line in lines:
        if line["key"] in keys:
            cell = found.setdefault((line["recipe"], line["epochs"]), {})
            cell.setdefault(line["engine"], {})[line["seed"]] = line["psnr"]
    heads = ["recipe", "epochs", "seeds", *names, *(f"{name} - {names[0]}" for name in names[1:])]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for (recipe, epochs), cell in sorted(
        found.items(), key=lambda item: (list(RECIPES).index(item[0][0]), item)
    ):
        seeds = sorted(set.intersection(*(set(cell.get(name, {})) for name in names)))
        if not seeds:
            continue
        values = {name: [cell[name][seed] for seed in seeds] for name in names}
        entries = [f"{statistics.mean(v):.2f} ± {spread(v):.2f}" for v in values.values()]
        reference = values[names[0]]
        for name in names[1:]:
            differences = [a - b for a, b in zip(values[name], reference, strict=True)]
            error = spread(differences) / math.sqrt(len(seeds))
            entries.append(f"{statistics.mean(differences):+.3f} ± {error:.3f}")
        rows.append(f"| {recipe} | {epochs} | {len(seeds)} | {' | '.join(entries)} |")
    return "\n".join(rows)


def spread(values: list[float]) -> float:
    """Standard deviation; nan for one value."""
    return statistics.stdev(values) if len(values) > 1 else math.nan


def main() -> None:
    """Measure what is missing, shortest budgets first, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    standard = [name for name in RECIPES if name != "classic"]
    parser.add_argument("recipes", nargs="*", help=f"of {', '.join(RECIPES)}; none: all but classic")
    parser.add_argument("--epochs", type=int, nargs="*", default=[20, 100, 500])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--engines", nargs="*", default=list(ENGINES), choices=ENGINES)
    parser.add_argument("--picture", help="a picture file; the built-in Mona Lisa if not given")
    parser.add_argument("--shrink", type=int, default=3, help="each side by this factor")
    parser.add_argument("--results", type=Path, default=Path("equivalence.jsonl"))
    parser.add_argument("--table-only", action="store_true", help="measure nothing")
    given = parser.parse_args()
    recipes = given.recipes or standard
    torch.set_num_threads(1)
    data = reduced(given.picture, given.shrink)
    lines = []
    if given.results.exists():
        lines = [json.loads(text) for text in given.results.read_text(encoding="utf-8").splitlines()]
    wanted = [
        Measurement(recipe, epochs, seed, engine)
        for epochs, seed, recipe, engine in itertools.product(
            given.epochs, range(given.seeds), recipes, given.engines
        )
    ]
    keys = {which.key(data) for which in wanted}
    done = {line["key"] for line in lines}
    for which in wanted:
        if which.key(data) in done or given.table_only:
            continue
        lines.append(measure(which, data))
        with given.results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(lines[-1]) + "\n")
        line = lines[-1]
        print(
            f"{which.recipe} {which.epochs} seed {which.seed} {which.engine}: {line['psnr']:.2f} dB, "
            f"{line['cpu_seconds']} CPU-s",
            flush=True,
        )
    target: Picture = data.facts["picture"]
    spent = sum(line["cpu_seconds"] for line in lines if line["key"] in keys)
    print(
        f"\n{date.today()}, {machine.processor()}, torch {torch.__version__}, one thread, "
        f"{target.width}x{target.height} pixels, {spent / 60:.0f} CPU-minutes; PSNR in dB, mean ± standard "
        "deviation over seeds; differences paired by seed, mean ± standard error\n"
    )
    print(table(lines, keys, given.engines))


if __name__ == "__main__":
    main()
