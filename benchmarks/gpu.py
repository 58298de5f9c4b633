"""Everything that benchmarks/gpu.md asks of the `cuda` engine, in less than five minutes on one GPU, as one table.

    python benchmarks/gpu.py --record benchmarks/record.md
    python benchmarks/gpu.py --device cpu --small    the same code without a GPU: capture off, seconds mean nothing

A row says what was done, what came out, and what it should be. With --small nets, pictures and runs are tiny.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sfumato import nets
from sfumato.data import Data
from sfumato.engine import cuda, eager
from sfumato.picture import metrics, pixels
from sfumato.recipe import Recipe, named

MANY = (1, 8, 32, 128)


@dataclass(frozen=True)
class Size:
    """How large the workloads are."""

    height: int
    width: int
    net: tuple[int, ...]
    epochs: int  # of the timed trainings
    steps: int  # of those compared step by step
    rounds: int
    many_net: tuple[int, ...]
    many_batch: int
    batch: int = 0  # 0: that of the recipe


FULL = Size(429, 300, (300,) * 4, 500, 200, 5, (128,) * 4, 1024)
SMALL = Size(12, 10, (16, 16, 16), 2, 40, 1, (8, 8), 16, batch=16)


@dataclass(frozen=True)
class Bench:
    """Where it runs and on what."""

    device: torch.device
    size: Size
    data: Data

    @property
    def capture(self) -> bool:
        return self.device.type == "cuda"

    def recipe(self, **fields: object) -> Recipe:
        """`classic` in the size at hand, with some fields replaced."""
        recipe = named("classic").replace(net=self.size.net, epochs=float(self.size.epochs), **fields)
        return recipe.replace(batch=self.size.batch) if self.size.batch else recipe

    def session(self, recipe: Recipe, steps: int) -> tuple[nets.Net, cuda.CudaSession]:
        net = nets.build(recipe, 2, 3, aspect=self.size.height / self.size.width)
        return net, cuda.CudaSession(net, self.data, recipe, steps, self.device, capture=self.capture)

    def wait(self) -> None:
        if self.capture:
            torch.cuda.synchronize(self.device)


ADAM = {"optimizer": "adam", "wake": 0, "rate": 1e-3, "sampling": "uniform"}
Row = tuple[str, str, str]


def picture(size: Size) -> Data:
    """Waves: no file is needed, and no colour is constant."""
    xy = pixels.coordinates(size.height, size.width)
    x, y = 6 * xy.T
    waves = np.stack([np.sin(3 * x + y), np.cos(x * y / 2), np.sin(y * y)], 1)
    colours = (0.5 + 0.5 * waves).astype(np.float32)
    return Data(xy, colours, xy[:0], colours[:0])


def correctness(bench: Bench) -> Iterator[Row]:
    """Losses of the engine against the specification's on the CPU, and cuts that must change no bit."""
    for title, fields, most in (
        ("Adam", ADAM, 1e-4),
        ("SGD with momentum", {**ADAM, "optimizer": "sgd:momentum=0.9", "rate": 0.1}, 1e-4),
        (
            "classic: Muon, waking, sampling by error",
            {},
            1e-2,
        ),  # turned matrices carry rounding on from step to step
    ):
        recipe, steps = bench.recipe(**fields), bench.size.steps
        net, ours = bench.session(recipe, steps)
        theirs = eager.prepare(net, bench.data, recipe, steps).advance(steps)
        far = float(np.max(np.abs(ours.advance(steps) - theirs) / np.abs(theirs)))
        _, other = bench.session(recipe, steps)
        done = 0
        for part in (1, 7, steps // 2, steps):
            count = min(part, steps - done)
            other.advance(count)
            done += count
        kept = other.state()
        same = all(torch.equal(value, kept[name]) for name, value in ours.state().items())
        verdict = "right" if far <= most and same else "WRONG"
        yield (
            f"{steps} steps of {title} against eager on the CPU",
            f"{verdict}: losses differ by {far:.1e} at most; cut in pieces {'the same' if same else 'other'} bits",
            f"{most:.0e}, the same",
        )


def trainings(bench: Bench) -> Iterator[Row]:
    """Seconds of whole trainings; capturing the graphs is told apart."""
    for title, fields in (("Adam", ADAM), ("classic", {})):
        for precision in ("float32", "bfloat16"):
            recipe = bench.recipe(**fields, precision=precision)
            steps = recipe.planned_steps(bench.data.samples)
            net, session = bench.session(recipe, steps)
            started = time.perf_counter()
            first = min(steps, session.plan.per_epoch)
            session.advance(first)
            bench.wait()
            captured = time.perf_counter() - started
            started = time.perf_counter()
            session.advance(steps - first)
            bench.wait()
            seconds = (time.perf_counter() - started) * steps / max(1, steps - first)
            session.pull(net)
            quality = metrics.psnr(bench.data.targets, nets.predict(net, bench.data.inputs))
            yield (
                f"{bench.size.epochs} epochs of the {title} net in {precision}, batch {recipe.batch}",
                f"{seconds:.2f} s, {steps / seconds:,.0f} steps/s, {quality:.2f} dB; first epoch {captured:.1f} s",
                "1 s" if title == "Adam" else "",
            )


def against_eager(bench: Bench) -> Iterator[Row]:
    """The same minibatches by PyTorch's own operations and fused Adam, launched one by one; rounds alternate."""
    recipe, steps = bench.recipe(**ADAM), bench.size.steps
    net, session = bench.session(recipe, 1 << 20)
    net = net.to(bench.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, fused=bench.capture)
    inputs, targets = (torch.from_numpy(v).to(bench.device) for v in (bench.data.inputs, bench.data.targets))

    def bare() -> None:
        for step in range(steps):
            rows = torch.from_numpy(session.plan.minibatch(step).astype(np.int64)).to(bench.device)
            optimizer.zero_grad()
            functional.mse_loss(net(inputs[rows]), targets[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    ratios = []
    for number in range(bench.size.rounds + 1):
        seconds = [clock(bench, work) for work in (lambda: session.advance(steps), bare)]
        if number:  # the first captures, and starts libraries
            ratios.append(seconds[1] / seconds[0])
    yield (
        f"{steps} steps of Adam, batch {recipe.batch}, float32, against PyTorch eager on the same device",
        f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})",
        "",
    )


class Stack:
    """Nets of the same shape side by side: weights stacked, all products of a layer in one batched product."""

    def __init__(self, bench: Bench, count: int) -> None:
        widths = [2, *bench.size.many_net, 3]
        generator = torch.Generator().manual_seed(0)
        shapes = [(count, a, b) for a, b in itertools.pairwise(widths)]
        weights = [
            (torch.rand(shape, generator=generator) - 0.5) * math.sqrt(6 / shape[1]) for shape in shapes
        ]
        weights += [torch.zeros(count, 1, shape[2]) for shape in shapes]
        self.parameters = [value.to(bench.device).requires_grad_() for value in weights]
        self.moments = [[torch.zeros_like(p) for p in self.parameters] for _ in range(2)]
        self.inputs, self.targets = (
            torch.from_numpy(v).to(bench.device) for v in (bench.data.inputs, bench.data.targets)
        )

    def step(self, rows: Tensor, factors: Tensor) -> tuple[Tensor, Tensor | None]:
        """Adam at one rate for all, on the same samples (batch,)."""
        layers = len(self.parameters) // 2
        value = self.inputs[rows].expand(len(self.parameters[0]), -1, -1)
        for index in range(layers):
            value = torch.baddbmm(self.parameters[layers + index], value, self.parameters[index])
            value = value.relu() if index + 1 < layers else value
        loss = (value - self.targets[rows]).square().mean((1, 2)).sum()
        slopes = torch.autograd.grad(loss, self.parameters)
        with torch.no_grad():
            torch._foreach_lerp_(self.moments[0], slopes, 0.1)
            torch._foreach_mul_(self.moments[1], 0.999)
            torch._foreach_addcmul_(self.moments[1], slopes, slopes, 0.001)
            below = torch._foreach_sqrt(self.moments[1])
            torch._foreach_add_(below, 1e-8)
            torch._foreach_add_(self.parameters, torch._foreach_div(self.moments[0], below), alpha=-1e-4)
        return loss.detach(), None


def many(bench: Bench) -> Iterator[Row]:
    """Samples of all nets together."""
    size, alone = bench.size, 0.0
    turns = 1 + size.steps // cuda.GROUP
    for count in MANY:
        stack = Stack(bench, count)
        graph = cuda._Graph(cuda.GROUP, size.many_batch, bench.device, stack.step, bench.capture)
        graph.rows.random_(0, bench.data.samples)
        graph.run()

        def work(run: Callable[[], None] = graph.run) -> None:
            for _ in range(turns):
                run()

        seconds = min(clock(bench, work) for _ in range(size.rounds))
        rate = count * turns * cuda.GROUP * size.many_batch / seconds
        alone = alone or rate
        shape = "x".join(map(str, size.many_net))
        title = f"{count} nets {shape} at once, batch {size.many_batch}, float32"
        yield title, f"{rate:,.0f} samples/s, {rate / alone:.1f} times one", ""


def clock(bench: Bench, work: Callable[[], object]) -> float:
    """Wall seconds of `work`."""
    bench.wait()
    started = time.perf_counter()
    work()
    bench.wait()
    return time.perf_counter() - started


def main(arguments: list[str] | None = None) -> None:
    """Print the table as Markdown, and add it to a file if asked to."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    options.add_argument("--small", action="store_true", help="tiny workloads, to see that everything runs")
    options.add_argument("--record", type=Path, help="a Markdown file to which the table is added")
    wanted = options.parse_args(arguments)
    if wanted.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "there is no CUDA device here\nhint: --device cpu --small shows that everything runs"
        )
    torch.backends.cuda.matmul.allow_tf32 = False
    size = SMALL if wanted.small else FULL
    bench = Bench(torch.device(wanted.device), size, picture(size))
    name = torch.cuda.get_device_name() if bench.capture else "CPU, capture off: seconds mean nothing"
    lines = [
        f"\n## GPU, {date.today()}\n",
        f"{name}; torch {torch.__version__}; `python benchmarks/gpu.py`\n",
    ]
    lines += ["| what | result | aim |", "|---|---|---|"]
    print("\n".join(lines), flush=True)
    started = time.perf_counter()
    for part in (correctness, trainings, against_eager, many):
        for row in part(bench):
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    lines.append(f"| all of this | {time.perf_counter() - started:.0f} s | 300 s |")
    print(lines[-1])
    if wanted.record:
        with wanted.record.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
