"""Many networks at once against one after the other: `python benchmarks/many.py [--rounds 5]`.

A: as many 4x300 nets as there are cores, one a core (`sfumato.many`). B: the same nets one after the other, each on
all cores. Same steps of 1024 samples, native engine; rounds alternate; the ratio of B's seconds to A's is to be at
least 1.15.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np

from sfumato import engine, machine, nets, timing
from sfumato.data import Data
from sfumato.many import prepare_many
from sfumato.picture import pixels
from sfumato.recipe import Recipe

HEIGHT, WIDTH, STEPS = 215, 300, 40


def main() -> None:
    """Print the ratio of each round and their median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    cores = machine.available_threads()
    xy = pixels.coordinates(HEIGHT, WIDTH)
    colours = np.random.default_rng(0).random((len(xy), 3), np.float32)
    data = Data(xy, colours, xy[:0], colours[:0])
    recipes = [Recipe(rate=1e-3, batch=1024, engine="native", seed=seed) for seed in range(cores)]
    started = [nets.build(recipe, 2, 3) for recipe in recipes]
    many = prepare_many(started, data, recipes, 1 << 20)
    alone = [
        engine.engine("native").prepare(net, data, recipe, 1 << 20)
        for net, recipe in zip(started, recipes, strict=True)
    ]
    turns = timing.take_turns(
        rounds, lambda: many.advance(STEPS), lambda: [session.advance(STEPS) for session in alone]
    )
    ratios = [apart.wall / together.wall for together, apart in zip(*turns, strict=True)]
    print("rounds:", ", ".join(f"{ratio:.3f}" for ratio in ratios))
    print(f"{cores} nets at once: {statistics.median(ratios):.3f} times the throughput, aim 1.15")


if __name__ == "__main__":
    main()
