"""Seconds of one thread until the whole Mona Lisa stands at 30 and at 40 dB: sfumato against plain PyTorch.

    python benchmarks/quality.py --picture mona-lisa-300x429.jpg           three rounds, both aims, all rivals
    python benchmarks/quality.py --search 40 --picture ...                 how the settings were found

Both sides train the net of the recipe `sharp` (12 levels of grids of 2 features, at most 2^14 entries a level, 2x64
rectified units, Adam) from the same start. A is the native engine, in float32 and in bfloat16. B is a plain loop of
PyTorch in float32 with fused Adam, whose corners and weights of every pixel are computed once, written three ways:
`bag` looks the grid up by `embedding_bag`, `select` by `index_select` and a product, and `compiled` is `select`
under `torch.compile`, whose compilation (many seconds) is left out.

The curve of PSNR over steps depends on batch, rate and schedule, not on who computes the steps. So one search, on
the native engine because it is quick, finds the fewest epochs that reach the aim for each setting (`--search`), and
each rival takes the setting that is cheapest at its own seconds per step (`--cost` prints those).

The clock runs over preparation (corners, copying) and training, not over building the net and looking at it. PSNR
is that of all pixels, clipped and not rounded, looked at 25 times in the second half of the schedule.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sfumato import engine, machine, nets, painting, timing
from sfumato.data import Data
from sfumato.learning.plan import Plan
from sfumato.nets import Net
from sfumato.nets.encodings import Grid
from sfumato.picture import metrics
from sfumato.recipe import Recipe, named
from sfumato.tasks import picture

Advance = Callable[[int], object]
RIVALS = ("native float32", "native bfloat16", "bag", "select", "compiled")
LOOKS = 25


@dataclass(frozen=True)
class Setting:
    """What was free in the search."""

    batch: int
    rate: float
    schedule: str
    epochs: float

    def recipe(self, seed: int = 0, precision: str = "float32") -> Recipe:
        """`sharp` with this setting, on one thread."""
        return named("sharp").replace(
            **vars(self), seed=seed, precision=precision, engine="native", threads=1
        )


HOLD, SHORT, COSINE = "hold:share_held=0.6,floor=0.02", "hold:share_held=0.3,floor=0.02", "cosine"
LONG = "hold:share_held=0.8,floor=0.05"
SETTINGS: dict[int, dict[str, Setting]] = {
    30: dict.fromkeys(RIVALS, Setting(1024, 1e-2, LONG, 1.05))
    | dict.fromkeys(RIVALS[:2], Setting(512, 1e-2, LONG, 0.87)),
    40: dict.fromkeys(RIVALS, Setting(2048, 2e-2, LONG, 26)),
}
"""For each aim in dB what each rival uses: the cheapest found, and 6 to 10 % more epochs, since seeds differ."""


class Plain:
    """Training as plain PyTorch writes it, fast but with nothing of ours in the loop. Weights change in `net`."""

    def __init__(self, net: Net, data: Data, recipe: Recipe, total: int, way: str) -> None:
        grid = net.encoding
        assert isinstance(grid, Grid)
        with torch.no_grad():
            corners, weights = grid.corners(torch.from_numpy(data.inputs))
        # Of all layouts tried: 32 bits are best for embedding_bag, 64 for the backward pass of index_select.
        self.corners = corners.flatten(1).int() if way == "bag" else corners.flatten(1)
        self.weights, self.targets = weights.flatten(1), torch.from_numpy(data.targets)
        self.optimizer = torch.optim.Adam(net.parameters(), betas=(0.9, 0.99), eps=1e-15, fused=True)
        self.rates = Plan(recipe, data.samples, total).rates(0, total)
        self.batch, self.step = recipe.batch, 0
        self.batches = self._batches(recipe.seed)

        def loss(at: Tensor, weights: Tensor, targets: Tensor) -> Tensor:
            count = len(targets)
            if way == "bag":
                encoded = functional.embedding_bag(
                    at.view(-1, 4), grid.table, per_sample_weights=weights.view(-1, 4), mode="sum"
                )
            else:
                looked_up = grid.table.index_select(0, at.view(-1)).view(-1, 4, 2)
                encoded = (looked_up * weights.view(-1, 4, 1)).sum(1)
            return functional.mse_loss(net.head(encoded.view(count, -1)), targets)

        self.loss = torch.compile(loss) if way == "compiled" else loss

    def _batches(self, seed: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(self.targets), generator=generator)
            for low in range(0, len(order) - self.batch + 1, self.batch):
                yield order[low : low + self.batch]

    def _backward(self, rows: Tensor) -> None:
        loss = self.loss(self.corners[rows], self.weights[rows], self.targets[rows])
        loss.backward()  # type: ignore[no-untyped-call]

    def warm(self) -> None:
        """Compile, and change nothing."""
        self._backward(torch.arange(self.batch))

    def advance(self, steps: int) -> None:
        """Train for so many steps."""
        for rate in self.rates[self.step : self.step + steps]:
            rows = next(self.batches)
            self.optimizer.param_groups[0]["lr"] = float(rate)
            self.optimizer.zero_grad()
            self._backward(rows)
            self.optimizer.step()
            self.step += 1


def seconds_to(aim: float, setting: Setting, rival: str, data: Data, seed: int) -> tuple[float, float, int]:
    """CPU seconds until the aim is reached (infinite if it is not), the PSNR then, and the steps."""
    half = rival.endswith("bfloat16")
    recipe = setting.recipe(seed, "bfloat16" if half else "float32")
    net = nets.build(recipe, 2, 3, aspect=data.facts["aspect"])
    total = recipe.total_steps(data.samples)
    clock = time.process_time()
    if rival.startswith("native"):
        session = engine.engine("native").prepare(net, data, recipe, total)
        spent = time.process_time() - clock
        advance: Advance = session.advance
    else:
        plain = Plain(net, data, recipe, total, rival)
        spent = time.process_time() - clock
        plain.warm()
        advance = plain.advance
    done, found = 0, 0.0
    for stop in sorted({int(x) for x in np.linspace(total / 2, total, LOOKS).round()}):
        clock = time.process_time()
        advance(stop - done)
        spent += time.process_time() - clock
        done = stop
        if rival.startswith("native"):
            session.pull(net)
        found = psnr(net, data)
        if found >= aim:
            return spent, found, done
    return float("inf"), found, done


def psnr(net: Net, data: Data) -> float:
    """Of all pixels, clipped and not rounded."""
    return metrics.psnr(data.targets, painting.predict(net, data.inputs))


def search(aim: float, data: Data, grid: Iterator[Setting], least: float, seeds: int) -> None:
    """Print for each setting the fewest epochs (to 6 %) whose schedule ends at the aim or above for every seed.

    grid: settings whose epochs are the most that are tried. least: the fewest.
    """
    print("| batch | rate | schedule | epochs | steps | worst PSNR |\n|---|---|---|---|---|---|", flush=True)
    for setting in grid:
        best, low, high = float("inf"), least, setting.epochs
        steps, found = 0, 0.0
        while high / low > 1.06:
            tried = replace(setting, epochs=(low * high) ** 0.5 if steps else high)
            total, worst = reached(aim, tried, data, seeds)
            if worst >= aim:
                best, high, steps, found = tried.epochs, tried.epochs, total, worst
            elif not steps:
                break
            else:
                low = tried.epochs
        print(
            f"| {setting.batch} | {setting.rate:g} | {setting.schedule} | {best:.2f} | {steps} | {found:.2f} |",
            flush=True,
        )


def reached(aim: float, setting: Setting, data: Data, seeds: int) -> tuple[int, float]:
    """Steps of a setting, and the PSNR at their end of the worst seed up to the first that misses the aim."""
    worst = float("inf")
    for seed in range(seeds):
        recipe = setting.recipe(seed)
        net = nets.build(recipe, 2, 3, aspect=data.facts["aspect"])
        total = recipe.total_steps(data.samples)
        session = engine.engine("native").prepare(net, data, recipe, total)
        session.advance(total)
        session.pull(net)
        worst = min(worst, psnr(net, data))
        if worst < aim:
            break
    return total, worst


def cost(data: Data, batches: list[int]) -> None:
    """Print each rival's milliseconds a step, the median of five turns."""
    print("| batch | " + " | ".join(RIVALS) + " |\n" + "|---" * (len(RIVALS) + 1) + "|")
    for batch in batches:
        sides: list[Advance] = []
        for rival in RIVALS:
            recipe = Setting(batch, 1e-2, HOLD, 1).recipe(
                0, "bfloat16" if rival.endswith("bfloat16") else "float32"
            )
            net = nets.build(recipe, 2, 3, aspect=data.facts["aspect"])
            if rival.startswith("native"):
                sides.append(engine.engine("native").prepare(net, data, recipe, 1 << 20).advance)
            else:
                plain = Plain(net, data, recipe, 10_000, rival)
                plain.warm()
                sides.append(plain.advance)
        steps = max(4, 65536 // batch)
        rivals = [functools.partial(advance, steps) for advance in sides]
        turns = [[one.cpu / steps * 1e3 for one in taken] for taken in timing.take_turns(5, *rivals, warm=0)]
        print(
            f"| {batch} | " + " | ".join(f"{statistics.median(kept):.2f}" for kept in turns) + " |",
            flush=True,
        )


def compare(aims: list[int], data: Data, rivals: list[str], rounds: int) -> None:
    """Print the table: rivals take turns, each round has its own seed."""
    print(
        f"{machine.processor()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, torch "
        f"{torch.__version__}, {rounds} rounds (seeds 0 ...), CPU seconds of one thread, {date.today()}\n"
    )
    print("| aim | side | batch, rate, schedule, epochs | steps | CPU-s, median | ratio to native | dB |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for aim in aims:
        found: dict[str, list[tuple[float, float, int]]] = {rival: [] for rival in rivals}
        for seed, rival in itertools.product(range(rounds), rivals):
            found[rival].append(seconds_to(aim, SETTINGS[aim][rival], rival, data, seed))
        ours = [min(f[seed][0] for r, f in found.items() if r.startswith("native")) for seed in range(rounds)]
        for rival in rivals:
            rows, setting = found[rival], SETTINGS[aim][rival]
            times = [row[0] for row in rows]
            ratios = [a / b for a, b in zip(times, ours, strict=True)]
            steps = statistics.median_low([row[2] for row in rows])
            least = min(row[1] for row in rows)
            print(
                f"| {aim} dB | {rival} | {setting.batch}, {setting.rate:g}, {setting.schedule}, "
                f"{setting.epochs:g} | {steps} | **{statistics.median(times):.3f}** ({min(times):.3f} to "
                f"{max(times):.3f}) | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
                f"| {least:.2f} |",
                flush=True,
            )


def main() -> None:
    """Read the options and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--picture", type=Path, help="a picture file; the built-in Mona Lisa if not given")
    parser.add_argument("--aims", type=int, nargs="*", default=[30, 40], choices=[30, 40])
    parser.add_argument("--rivals", nargs="*", default=list(RIVALS), choices=RIVALS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--search", type=float, help="the aim for which to search settings")
    parser.add_argument("--least", type=float, default=0.5, help="epochs at least in a search")
    parser.add_argument("--most", type=float, default=60, help="epochs at most in a search")
    parser.add_argument("--seeds", type=int, default=1, help="of which each has to reach the aim in a search")
    parser.add_argument("--batches", type=int, nargs="*", default=[512, 1024, 2048, 4096, 8192])
    parser.add_argument("--rates", type=float, nargs="*", default=[5e-3, 1e-2, 2e-2, 4e-2])
    parser.add_argument("--schedules", nargs="*", default=[HOLD, SHORT, LONG, COSINE])
    parser.add_argument("--cost", action="store_true", help="milliseconds a step of each rival instead")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data = picture.load(str(given.picture) if given.picture else None, named("sharp"))
    if given.cost:
        cost(data, given.batches)
    elif given.search:
        free = itertools.product(given.batches, given.rates, given.schedules)
        grid = (Setting(*choice, epochs=given.most) for choice in free)
        search(given.search, data, grid, given.least, given.seeds)
    else:
        compare(given.aims, data, given.rivals, given.rounds)


if __name__ == "__main__":
    main()
