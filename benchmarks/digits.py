"""The digits bench against the plain PyTorch loop of the same recipe: both take turns in one process.

    SFUMATO_DATA=... python benchmarks/digits.py                both recipes, 6000 units
    python benchmarks/digits.py 2012 --rounds 9 --threads 2

2012: the regrouped engine against a loop of forward, backward and SGD a digit at a time.
best: the engine that `auto` chooses, with its bfloat16 products, against a loop of the textbook in float32.

Prints, a recipe: the ratio of digits a second, median and range over the rounds, and what a pass over 60,000 digits
costs each in wall and in processor seconds, from the best round.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from sfumato import engine, machine, nets, timing
from sfumato.data import Data
from sfumato.nets import Net
from sfumato.recipe import Recipe
from sfumato.tasks import digits


def plain(net: Net, data: Data, recipe: Recipe) -> Iterator[int]:
    """Training as a textbook writes it; yields the samples of each step. Weights are changed in `net`."""
    inputs, targets = torch.from_numpy(data.inputs), torch.from_numpy(data.targets)
    if recipe.batch == 1:
        factor = {id(m): 1 / math.sqrt(net.fan_in(m) + 1) for m in (net.layers[0], net.readout, net.skip)}
        groups = [
            {"params": list(m.parameters()), "lr": recipe.rate * factor[id(m)]}
            for m in (net.layers[0], net.readout, net.skip)
        ]
        optimizer: torch.optim.Optimizer = torch.optim.SGD(groups)
        net.train()
        first, second = nn.Identity(), nn.Identity()
    else:
        optimizer = torch.optim.Adam(net.parameters(), lr=recipe.rate)
        first, second = nn.Dropout(recipe.dropout[0]), nn.Dropout(recipe.dropout[1])
    while True:
        rows = torch.randperm(len(inputs)) if recipe.batch > 1 else torch.arange(len(inputs))
        for part in rows.split(recipe.batch):
            x, y = first(inputs[part]), targets[part]
            out = net.readout(second(net.activation(net.layers[0](x))))
            if net.skip is not None:
                out = out + net.skip(x)
            if recipe.batch == 1:
                loss = 0.5 * (out - y).square().sum()
            else:
                loss = functional.cross_entropy(out, y, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield len(part)


def compare(name: str, source: str, rounds: int, threads: int) -> str:
    """A line of Markdown for one named recipe."""
    recipe = digits.RECIPES[name][0].replace(threads=threads)
    data = digits.load(source, recipe)
    build = lambda: nets.build(recipe, data.inputs.shape[1], data.targets.shape[1])  # noqa: E731
    chosen = engine.settle(recipe).engine
    session = engine.engine(chosen).prepare(build(), data, recipe, recipe.total_steps(data.samples))
    loop = plain(build(), data, recipe)
    ours, theirs = (1024, 24) if recipe.batch == 1 else (2, 2)  # steps a turn: about a fifth of a second

    learned: list[int] = []  # digits of each turn of the plain loop: the last batch of a pass is short
    turns = timing.take_turns(
        rounds,
        lambda: session.advance(ours),
        lambda: learned.append(sum(next(loop) for _ in range(theirs))),
    )
    digits_each = ([ours * recipe.batch] * rounds, learned[-rounds:])
    # Wall and processor seconds of a pass over 60,000 digits, a turn.
    passes = [
        [(one.wall * 60_000 / count, one.cpu * 60_000 / count) for one, count in zip(*side, strict=True)]
        for side in zip(turns, digits_each, strict=True)
    ]
    ratios = sorted(b[0] / a[0] for a, b in zip(*passes, strict=True))
    best = [min(one[kind] for one in side) for side in passes for kind in (0, 1)]
    return (
        f"{name}, {threads or machine.available_threads()} threads: {chosen} is "
        f"**{statistics.median(ratios):.1f}x** the plain loop ({ratios[0]:.1f} to {ratios[-1]:.1f}, "
        f"{rounds} rounds); a pass costs {best[0]:.1f} s ({best[1]:.1f} CPU-s) against {best[2]:.1f} s "
        f"({best[3]:.1f} CPU-s)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("recipes", nargs="*", default=["2012", "best"], help="2012, best")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0, help="0: all that may be used")
    given = parser.parse_args()
    for name in given.recipes:
        print(compare(name, given.data, given.rounds, given.threads), flush=True)


if __name__ == "__main__":
    main()
