"""CPU seconds until 4x300 rectified units on raw x, y paint the Mona Lisa at 30 dB: `classic` against PyTorch.

    python benchmarks/thirty.py                    rivals take turns, three rounds, each with its own seed
    python benchmarks/thirty.py --cost             microseconds a sample of each way to write it in PyTorch
    python benchmarks/thirty.py --search "optimizer=adam;muon" "batch=512;1024" "rate=1e-3;2e-3"

All sides train the same net from the same start (that of `classic`) until the PSNR of all pixels, clipped and not
rounded, is 30 dB, on one thread. Ours is the native engine with the training rule of `classic`. PyTorch's is a
plain loop with shuffled minibatches: its own Adam (fused), or its own Muon with Adam for the rest, in float32 or
under bfloat16 autocast, eager or compiled (compiling, many seconds, is left out).

How PSNR rises with steps depends on the rule, not on who computes the steps. So one search, on the native engine
because it is quick, finds for each optimizer, batch and rate the fewest epochs whose schedule ends at 30 dB; each
way to write it in PyTorch then has the setting that is cheapest at its own seconds a sample.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sfumato import engine, machine, nets, painting, timing
from sfumato.data import Data
from sfumato.learning.plan import Plan
from sfumato.nets import Net
from sfumato.picture import metrics
from sfumato.recipe import Recipe, named
from sfumato.tasks import picture

AIM = 30.0
LOOKS = 25
Advance = Callable[[int], object]


@dataclass(frozen=True)
class Setting:
    """What was free in the search."""

    optimizer: str
    batch: int
    rate: float
    epochs: float
    schedule: str = "cosine"
    sampling: str = "uniform"

    def recipe(self, seed: int = 0, precision: str = "float32") -> Recipe:
        """`classic` with this setting, on one thread."""
        return named("classic").replace(
            **vars(self), seed=seed, precision=precision, engine="native", threads=1, warmup=0.1
        )


OURS = Setting("muon:beta2=0.99", 1024, 0.03, 10.3, sampling="error")
MUON = Setting("muon:beta2=0.99", 2048, 0.03, 24)
RIVALS = {
    "native float32": OURS,
    "native bfloat16": OURS,
    "eager, muon": MUON,
    "compiled, muon": MUON,
    "eager autocast, muon": MUON,
    "compiled autocast, muon": MUON,
}
"""Each side's setting: the cheapest found, and some more epochs, since seeds differ (PyTorch's Muon with 22 ended
at 29.85 to 29.95 dB). PyTorch's Adam is not among them: it needs more than 60 epochs (benchmarks/record.md)."""


class Plain:
    """Training as plain PyTorch writes it. Weights change in `net`."""

    def __init__(self, net: Net, data: Data, recipe: Recipe, total: int, way: str) -> None:
        with torch.no_grad():
            self._inputs = net.encoding(torch.from_numpy(data.inputs)).contiguous()
        self._targets = torch.from_numpy(data.targets)
        matrices = [p for layer in list(net.layers)[1:] for p in layer.parameters() if p.ndim == 2]
        muon = recipe.optimizer.startswith("muon")
        rest = [p for p in net.parameters() if not muon or all(p is not m for m in matrices)]
        self._optimizers: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.Adam(rest, betas=(0.9, 0.99), fused=True), 0.05 if muon else 1.0)
        ]
        if muon:
            self._optimizers.append((torch.optim.Muon(matrices, weight_decay=0.0), 1.0))
        self._rates = Plan(recipe, data.samples, total).rates(0, total)
        self._batch, self._step = recipe.batch, 0
        self._batches = self._shuffled(recipe.seed)
        half = "autocast" in way

        def loss(inputs: Tensor, targets: Tensor) -> Tensor:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                return functional.mse_loss(net.head(inputs).float(), targets)

        self._loss = torch.compile(loss) if "compiled" in way else loss

    def _shuffled(self, seed: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(len(self._targets), generator=generator)
            yield from (
                order[low : low + self._batch] for low in range(0, len(order) - self._batch + 1, self._batch)
            )

    def _backward(self, rows: Tensor) -> None:
        self._loss(self._inputs[rows], self._targets[rows]).backward()  # type: ignore[no-untyped-call]

    def warm(self) -> None:
        """Compile, and change nothing."""
        self._backward(torch.arange(self._batch))

    def advance(self, steps: int) -> None:
        """Train for so many steps."""
        for rate in self._rates[self._step : self._step + steps]:
            for optimizer, factor in self._optimizers:
                optimizer.param_groups[0]["lr"] = float(rate) * factor
                optimizer.zero_grad()
            self._backward(next(self._batches))
            for optimizer, _ in self._optimizers:
                optimizer.step()
            self._step += 1


def prepare(
    setting: Setting, way: str, data: Data, seed: int
) -> tuple[Net, Advance, Callable[[], None], int]:
    """The net, what trains it, what brings its weights back, and the steps of its schedule."""
    half = way.endswith("bfloat16")
    recipe = setting.recipe(seed, "bfloat16" if half else "float32")
    net = nets.build(recipe, 2, 3, aspect=data.facts["aspect"])
    total = recipe.total_steps(data.samples)
    if way.startswith("native"):
        session = engine.engine("native").prepare(net, data, recipe, total)
        return net, session.advance, lambda: session.pull(net), total
    plain = Plain(net, data, recipe, total, way)
    plain.warm()
    return net, plain.advance, lambda: None, total


def seconds_to(setting: Setting, way: str, data: Data, seed: int) -> tuple[float, float, int]:
    """CPU seconds of training until the aim is reached (or the schedule ends below it), the PSNR, the steps."""
    net, advance, pull, total = prepare(setting, way, data, seed)
    spent, done, found = 0.0, 0, 0.0
    for stop in sorted({int(x) for x in np.linspace(total / 2, total, LOOKS).round()}):
        clock = time.process_time()
        advance(stop - done)
        spent += time.process_time() - clock
        done = stop
        pull()
        found = psnr(net, data)
        if found >= AIM:
            break
    return spent, found, done


def psnr(net: Net, data: Data) -> float:
    """Of all pixels, clipped and not rounded."""
    return metrics.psnr(data.targets, painting.predict(net, data.inputs))


def search(data: Data, grid: Iterator[Setting], seeds: int) -> None:
    """Print for each setting the fewest epochs (to 6 %) whose schedule ends at the aim for every seed."""
    print(
        "| rule | batch | rate | schedule | epochs | samples | PSNR |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    for setting in grid:
        best, low, high, found, first = float("inf"), 2.0, setting.epochs, 0.0, True
        while high / low > 1.06:
            tried = replace(setting, epochs=high if first else (low * high) ** 0.5)
            worst = min(_ended(tried, data, seed) for seed in range(seeds))
            if worst >= AIM:
                best, high, found = tried.epochs, tried.epochs, worst
            elif first:
                found = worst
                break
            else:
                low = tried.epochs
            first = False
        rule = f"{setting.optimizer}, {setting.sampling} | {setting.batch} | {setting.rate:g}"
        samples = f"{best:.1f} | {best * data.samples:,.0f}"
        print(f"| {rule} | {setting.schedule} | {samples} | {found:.2f} |", flush=True)


def _ended(setting: Setting, data: Data, seed: int) -> float:
    net, advance, pull, total = prepare(setting, "native float32", data, seed)
    advance(total)
    pull()
    return psnr(net, data)


WAYS = tuple(
    f"{how}{half}, {optimizer}"
    for how, half, optimizer in itertools.product(("eager", "compiled"), ("", " autocast"), ("adam", "muon"))
)


def cost(data: Data, batches: list[int]) -> None:
    """Print microseconds a sample of each way to write a step, the median of five turns."""
    print("| batch | " + " | ".join(WAYS) + " |\n" + "|---" * (len(WAYS) + 1) + "|")
    for batch in batches:
        sides = [prepare(Setting(way.rpartition(", ")[2], batch, 1e-3, 50), way, data, 0)[1] for way in WAYS]
        steps = max(2, 16384 // batch)
        turns = timing.take_turns(5, *(functools.partial(one, steps) for one in sides), warm=1)
        each = [statistics.median(one.cpu for one in taken) / steps / batch * 1e6 for taken in turns]
        print(f"| {batch} | " + " | ".join(f"{value:.1f}" for value in each) + " |", flush=True)


def compare(data: Data, rounds: int, sides: list[str]) -> None:
    """Print the table: sides take turns, each round has its own seed."""
    print(
        f"{machine.processor()}, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores, torch "
        f"{torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), {rounds} rounds, CPU seconds of one "
        f"thread, {date.today()}\n"
    )
    print(
        "| side | rule, batch, rate, epochs | steps | CPU-s to 30 dB | ratio | dB |\n|---|---|---|---|---|---|"
    )
    found: dict[str, list[tuple[float, float, int]]] = {way: [] for way in sides}
    for seed, way in itertools.product(range(rounds), sides):
        found[way].append(seconds_to(RIVALS[way], way, data, seed))
        print(f"{way}, seed {seed}: {found[way][-1][0]:.1f} s, {found[way][-1][1]:.2f} dB", file=sys.stderr)
    ours = [min(rows[seed][0] for way, rows in found.items() if "native" in way) for seed in range(rounds)]
    for way in sides:
        setting = RIVALS[way]
        times = [row[0] for row in found[way]]
        steps = statistics.median_low([row[2] for row in found[way]])
        ratios = [a / b for a, b in zip(times, ours, strict=True)]
        never = ">" if min(row[1] for row in found[way]) < AIM else ""
        print(
            f"| {way} | {setting.optimizer}, {setting.batch}, {setting.rate:g}, {setting.epochs:g} | "
            f"{steps} | **{never}{statistics.median(times):.1f}** "
            f"({min(times):.1f} to {max(times):.1f}) | {never}{statistics.median(ratios):.2f} ({min(ratios):.2f} "
            f"to {max(ratios):.2f}) | {min(row[1] for row in found[way]):.2f} |",
            flush=True,
        )


def main() -> None:
    """Read the options and print a table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--sides", nargs="*", default=list(RIVALS), choices=RIVALS)
    options.add_argument("--search", nargs="*", help="fields to search over, FIELD=VALUE,VALUE")
    options.add_argument("--most", type=float, default=60, help="epochs at most in a search")
    options.add_argument(
        "--seeds", type=int, default=1, help="of which each has to reach the aim in a search"
    )
    options.add_argument("--cost", type=int, nargs="*", help="batches whose cost a sample is printed")
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    data = picture.load(None, named("classic"))
    if given.cost is not None:
        cost(data, given.cost or [512, 1024, 2048, 4096])
    elif given.search is not None:
        free = {"optimizer": ["adam:beta2=0.99"], "batch": ["1024"], "rate": ["2e-3"]}
        free |= {
            name: values.split(";") for name, _, values in (text.partition("=") for text in given.search)
        }
        grid = (
            Setting(**{**dict(zip(free, choice, strict=True)), "epochs": given.most})  # type: ignore[arg-type]
            for choice in itertools.product(*free.values())
        )
        search(data, (replace(s, batch=int(s.batch), rate=float(s.rate)) for s in grid), given.seeds)
    else:
        compare(data, given.rounds, given.sides)


if __name__ == "__main__":
    main()
