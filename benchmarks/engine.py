"""The native engine against PyTorch: seconds for the same steps, rivals taking turns in one process.

    python benchmarks/engine.py                        all rows, one thread, CPU seconds
    python benchmarks/engine.py 8192 predict --threads 2 --clock wall --record benchmarks/record.md

Each row trains (or paints) on a 300x429 picture of waves. A is the native engine, B a rival: PyTorch eager in
float32, PyTorch with bfloat16 autocast and float32 parameters (fused Adam), or with bfloat16 parameters; and, where
they are installed, JAX and drjit.nn (rivals.py), which a thread of their own is told to keep to. In rows of
ideas (--rivals relu) both train on the built-in Mona Lisa, and B is the native engine itself with a plain net of
rectified units; where it says trained, each starts from a net that it has trained itself for ten epochs. The
ratio B / A is given as the median over rounds with its smallest and largest. Rows for one instruction set force
it for the native engine; run the one for AVX2 with ATEN_CPU_CAPABILITY=avx2, which the rival reads.

CPU seconds of the process (the default, right for one thread) leave out what other programs do to the wall
clock, not what they do to shared caches: quote ratios, never seconds, from a busy machine.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import rivals
import torch
from torch.nn import functional

from sfumato import machine, nets, tasks, timing
from sfumato.data import Array, Data
from sfumato.engine import eager, native
from sfumato.picture import pixels
from sfumato.recipe import Recipe, named

HEIGHT, WIDTH = 429, 300
Advance = Callable[[int], object]


@dataclass(frozen=True)
class Row:
    """One line of the table: the recipe, who competes, samples a turn."""

    name: str
    recipe: Recipe
    rival: str  # eager, autocast, bfloat16, paint; relu: the native engine; jax, drjit: see rivals.py
    ours: dict[str, Any] = field(default_factory=dict)  # fields in which our recipe differs
    isa: str = ""
    samples: int = 16384
    epochs: int = 0  # both start from a net that ours has trained for so long
    dense: bool = False  # ours computes silent units too


def adam(**fields: Any) -> Recipe:
    return Recipe(optimizer="adam", schedule="constant", rate=1e-4).replace(**fields)


def along_a_curve(batch: int) -> Recipe:
    """Minibatches whose neighbours lie side by side, so that rectified units are silent on whole chunks of rows."""
    return adam(batch=batch, sampling="stratified", rate=1e-3)


HALF = {"precision": "bfloat16"}
SINE = adam(net=(256,) * 4, activation="sine:omega=30", batch=4096)
DIGITS = adam(net=(6000,), encoding="raw", batch=512, loss="cross_entropy")
SHARP = named("sharp").replace(schedule="constant", rate=1e-3)
IDEAS = {
    "lwta": {"activation": "lwta"},
    "feedback alignment": {"backward": "feedback-alignment"},
    "prelu": {"activation": "prelu"},
}
ROWS = (
    Row("4x300 relu, B=8192, float32", adam(batch=8192), "eager"),
    Row("4x300 relu, B=8192, bfloat16", adam(batch=8192), "eager", HALF),
    Row("4x300 relu, B=8192, bfloat16", adam(batch=8192), "autocast", HALF),
    Row("4x300 relu, B=8192, bfloat16", adam(batch=8192), "bfloat16", HALF),
    Row("4x300 relu, B=1024, float32", adam(batch=1024), "eager"),
    Row("4x300 relu, B=1024, bfloat16", adam(batch=1024), "eager", HALF),
    Row("4x300 relu, B=512, bfloat16", adam(batch=512), "eager", HALF),
    Row("4x256 sine, B=4096, float32", SINE, "eager"),
    Row("4x256 sine, B=4096, bfloat16", SINE, "autocast", HALF),
    Row("4x256 finer, B=4096, bfloat16", SINE.replace(activation="finer:omega=30"), "autocast", HALF),
    Row(
        "784-6000-10 relu, B=512, bfloat16-all",
        DIGITS,
        "bfloat16",
        {"precision": "bfloat16-all"},
        samples=2048,
    ),
    Row("sharp: grid + 2x64, B=8192, float32", SHARP, "eager", samples=131072),
    Row("sharp: grid + 2x64, B=8192, bfloat16", SHARP, "eager", HALF, samples=131072),
    Row("classic (Muon), B=4096, float32", named("classic").replace(wake=0), "eager"),
    Row("classic (Muon), B=4096, bfloat16", named("classic").replace(wake=0), "eager", HALF),
    Row("2012: 4x300 leaky, a sample a step", named("2012"), "eager", samples=4096),
    Row("4x300 relu, B=8192, AVX-512 forced", adam(batch=8192), "eager", isa="avx512"),
    Row("4x300 relu, B=8192, AVX2 forced", adam(batch=8192), "eager", isa="avx2"),
    Row("4x300 relu trained, B=8192, float32", along_a_curve(8192), "eager", epochs=10),
    Row("4x300 relu trained, B=4096, float32", along_a_curve(4096), "eager", epochs=10),
    Row("4x300 relu trained, B=1024, float32", along_a_curve(1024), "eager", epochs=10),
    Row("4x300 relu trained, B=8192, bfloat16", along_a_curve(8192), "autocast", HALF, epochs=10),
    Row("4x300 relu trained, B=8192, bfloat16", along_a_curve(8192), "bfloat16", HALF, epochs=10),
    Row("4x300 relu trained, dense, B=8192, float32", along_a_curve(8192), "eager", epochs=10, dense=True),
    Row("4x300 relu trained, dense, B=4096, float32", along_a_curve(4096), "eager", epochs=10, dense=True),
    Row("4x300 relu trained, dense, B=1024, float32", along_a_curve(1024), "eager", epochs=10, dense=True),
    Row("4x300 relu, B=8192, float32", adam(batch=8192), "jax"),
    Row("4x300 relu, B=1024, float32", adam(batch=1024), "jax"),
    Row("4x300 relu trained, B=8192, float32", along_a_curve(8192), "jax", epochs=10),
    Row("sharp: grid + 2x64, B=8192, float32", SHARP, "jax", samples=131072),
    Row("4x300 relu, B=1024, float32", adam(batch=1024), "drjit"),
    *(
        Row(f"4x300 {idea}, B=1024, float32", adam(batch=1024, **fields), "eager")
        for idea, fields in IDEAS.items()
    ),
    *(
        Row(f"4x300 {idea}, dense, B={batch}, float32", adam(batch=batch, **fields), "relu", dense=True)
        for idea, fields in IDEAS.items()
        for batch in (8192, 1024)
    ),
    *(
        Row(
            f"4x300 {idea}, dense, B={batch}, bfloat16", adam(batch=batch, **fields), "relu", HALF, dense=True
        )
        for idea, fields in IDEAS.items()
        for batch in (8192, 1024)
    ),
    *(
        Row(
            f"4x300 {idea} trained, B={batch}, float32",
            along_a_curve(batch).replace(**fields),
            "relu",
            epochs=10,
        )
        for idea, fields in IDEAS.items()
        for batch in (8192, 1024)
    ),
    Row("predict 4x300 relu, float32", adam(), "paint", samples=65536),
    Row("predict 4x300 relu, bfloat16", adam(), "paint", HALF, samples=65536),
)


def data_for(row: Row) -> Data:
    """The picture of waves, the built-in one for ideas, or random digits for the net that takes 784 inputs."""
    recipe = row.recipe
    if row.rival == "relu":
        data = tasks.task("picture").load(None, recipe)
        assert isinstance(data, Data)
        return data
    if recipe.net == (6000,):
        random = np.random.default_rng(0)
        images = random.random((8192, 784), np.float32) * (random.random((8192, 784)) < 0.2)
        classes = np.eye(10, dtype=np.float32)[random.integers(0, 10, 8192)]
        return Data(images.astype(np.float32), classes, images[:0].astype(np.float32), classes[:0])
    xy = pixels.coordinates(HEIGHT, WIDTH)
    x, y = 6 * xy.T
    waves = np.stack([np.sin(3 * x + y), np.cos(x * y / 2), np.sin(y * y)], 1)
    colours = (0.5 + 0.5 * waves).astype(np.float32)
    return Data(xy, colours, xy[:0], colours[:0])


def start(row: Row, data: Data) -> nets.Net:
    """The net that both sides start from."""
    net = nets.build(row.recipe, data.inputs.shape[1], data.targets.shape[1], aspect=HEIGHT / WIDTH)
    if row.epochs:
        session = native.NativeSession(net, data, row.recipe, 1 << 20)
        session.advance(row.epochs * session.plan.per_epoch)
        session.pull(net)
        session.close()
    return net


def rival(row: Row, data: Data, net: nets.Net) -> Advance:
    """Steps of PyTorch as the row's rival takes them."""
    if row.rival == "relu":
        plain = replace(row, recipe=row.recipe.replace(activation="relu", backward="backprop"))
        recipe = plain.recipe.replace(**row.ours)
        return native.NativeSession(start(plain, data), data, recipe, 1 << 20).advance
    if row.rival == "eager":
        return eager.prepare(net, data, row.recipe, 1 << 20).advance
    plan = eager.prepare(net, data, row.recipe, 1 << 20).plan
    half = row.rival == "bfloat16"
    net = net.bfloat16() if half else net
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4, fused=True)
    with torch.no_grad():
        inputs = nets.build(row.recipe, data.inputs.shape[1], 1).encoding(torch.from_numpy(data.inputs))
    targets = torch.from_numpy(data.targets)
    inputs, targets = (inputs.bfloat16(), targets.bfloat16()) if half else (inputs, targets)
    loss_of = functional.mse_loss if row.recipe.loss == "mse" else functional.cross_entropy
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        for _ in range(steps):
            rows = torch.from_numpy(plan.minibatch(done))
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=not half):
                loss = loss_of(net.head(inputs[rows]), targets[rows])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            done += 1

    return advance


def painters(row: Row, data: Data) -> tuple[Advance, Advance]:
    """Painting with ours, and with PyTorch in bfloat16 by tiles of 8192 pixels (faster than whole)."""
    net = nets.build(row.recipe, 2, 3)
    engine = native.trainer(net, row.recipe.replace(**row.ours))
    points: Array = np.ascontiguousarray(2 * data.inputs[: row.samples] - 1)
    half, tiles = net.bfloat16(), torch.from_numpy(points).bfloat16().split(8192)  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def theirs(steps: int) -> None:
        for tile in tiles:
            half.head(tile)

    return (lambda steps: engine.predict(points)), theirs


def competitors(row: Row, threads: int) -> tuple[Advance, Advance]:
    """Ours and the rival's, ready to advance."""
    row = replace(row, recipe=row.recipe.replace(threads=threads))
    data = data_for(row)
    forced = {"SFUMATO_ISA": row.isa, "SFUMATO_DENSE": "1" if row.dense else ""}
    before = {name: os.environ.get(name) for name, value in forced.items() if value}
    os.environ.update({name: forced[name] for name in before})
    try:
        if row.rival == "paint":
            return painters(row, data)
        recipe = row.recipe.replace(**row.ours)
        net = start(row, data)
        ours = native.NativeSession(net, data, recipe, 1 << 20)
        if row.rival in ("jax", "drjit"):
            return ours.advance, getattr(rivals, row.rival)(net, data, row.recipe, threads)
        return ours.advance, rival(row, data, net)
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def measure(row: Row, rounds: int, threads: int, clock: str) -> tuple[list[float], float]:
    """Ratios of the rival's seconds to ours by `clock`, one a round, and our samples a second (median)."""
    ours, theirs = competitors(row, threads)
    steps = max(1, row.samples // row.recipe.batch)
    turns = timing.take_turns(rounds, lambda: ours(steps), lambda: theirs(steps))
    mine, other = [[getattr(one, clock) for one in taken] for taken in turns]
    count = row.samples if row.rival == "paint" else steps * row.recipe.batch
    ratios = [b / a for a, b in zip(mine, other, strict=True)]
    return ratios, count / statistics.median(mine)


def main() -> None:
    """Print the table as Markdown, and add it to a file if asked to."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("only", nargs="*", help="parts of the rows' names; none: all")
    options.add_argument("--rivals", nargs="*", help="only rows against these: eager, jax, drjit ...")
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    options.add_argument("--record", type=Path, help="a Markdown file to which the table is added")
    wanted = options.parse_args()
    torch.set_flush_denormal(True)  # moments of silent units decay into denormals: PyTorch's Adam would crawl
    lines = [
        f"\n## Native engine, {date.today()}\n",
        f"{machine.processor()}; best set {native.usable_sets()[0]}; threads {wanted.threads}; {wanted.clock}"
        f" seconds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; torch {torch.__version__}"
        f" ({torch.backends.cpu.get_cpu_capability()}); {wanted.rounds} rounds\n",
        "| work | against PyTorch | ratio | smallest to largest | samples/s |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for row in ROWS:
        if wanted.only and not any(part in row.name for part in wanted.only):
            continue
        if wanted.rivals and row.rival not in wanted.rivals:
            continue
        if row.isa and row.isa not in native.usable_sets():
            continue
        if row.rival in ("jax", "drjit") and importlib.util.find_spec(row.rival) is None:
            print(f"| {row.name} | {row.rival} | not installed | | |", flush=True)
            continue
        ratios, rate = measure(row, wanted.rounds, wanted.threads, wanted.clock)
        names = {
            "eager": "eager float32",
            "autocast": "autocast bfloat16",
            "paint": "bfloat16",
            "jax": "JAX",
            "drjit": "drjit.nn",
            "relu": "native, relu",
        }
        against = names.get(row.rival, "bfloat16 parameters")
        line = (
            f"| {row.name} | {against} | **{statistics.median(ratios):.2f}** |"
            f" {min(ratios):.2f} to {max(ratios):.2f} | {rate:,.0f} |"
        )
        lines.append(line)
        print(line, flush=True)
    if wanted.record:
        with wanted.record.open("a", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
