"""Training rules of `classic` side by side: `python benchmarks/rule.py rules.jsonl k15=PATH k04=PATH --size 16000`

A rule is `classic` with fields changed, written `batch=1024;epochs=30;sampling=error`. Rules take turns: every
picture and rule with the first seed, then with the next. A line of the file is one training by the native engine on
one thread: PSNR of the whole picture, units that fire nowhere in each layer, processor seconds. What the file
already holds is not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from sfumato import nets, picture
from sfumato.engine import native
from sfumato.picture import metrics
from sfumato.recipe import Recipe, named
from sfumato.tasks.picture import pixel_data

RULES = (
    "batch=1024;epochs=30;rate=0.06;optimizer=muon:beta2=0.99;warmup=0.1;sampling=uniform",
    "batch=1024;epochs=30;rate=0.06;optimizer=muon:beta2=0.99;warmup=0.1;sampling=stratified",
    "batch=1024;epochs=30;rate=0.06;optimizer=muon:beta2=0.99;warmup=0.1",
    "batch=1024;epochs=30;rate=0.06;warmup=0.1",
    "batch=1024;epochs=42;rate=0.06;warmup=0.1;optimizer=muon:beta2=0.99,blocks=2,steps=4",
)
"""What runs if no rule is named; each departs from today's `classic`."""


def recipe_of(rule: str, seed: int) -> Recipe:
    """`classic` on one thread in float32 with the rule's fields; RecipeError for an unknown one."""
    changes = dict(part.split("=", 1) for part in rule.split(";") if part)
    return named("classic").replace(**({"seed": seed, "threads": 1, "precision": "float32"} | changes))


def trained(rule: str, source: Path, size: int | None, seed: int) -> dict[str, object]:
    """One line of the file."""
    recipe = recipe_of(rule, seed)
    data = pixel_data(picture.load(source, max_pixels=size), recipe)
    net = nets.build(recipe, 2, data.targets.shape[1])
    steps = recipe.total_steps(data.samples)
    session = native.prepare(net, data, recipe, steps)
    started = time.process_time()
    session.advance(steps)
    seconds = time.process_time() - started
    session.pull(net)
    session.close()
    painted = native.predict(net, data.inputs, 1)
    with torch.no_grad():
        silent = [int((layer.post.amax(0) <= 0).sum()) for layer in net.hidden(torch.from_numpy(data.inputs))]
    return {
        "rule": rule,
        "seed": seed,
        "samples": data.samples,
        "steps": steps,
        "psnr": round(metrics.psnr(data.targets, np.clip(painted, 0, 1)), 3),
        "silent": silent,
        "cpu_seconds": round(seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pictures", nargs="+", help="name=path")
    parser.add_argument(
        "--size", type=int, default=None, help="larger pictures are reduced to so many pixels"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rule", action="append", help="instead of the built-in ones; may be repeated")
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    done = {(row["picture"], row["rule"], row["seed"], row["size"]) for row in map(json.loads, lines)}
    for seed in range(given.seeds):
        for name, _, path in (text.partition("=") for text in given.pictures):
            for rule in given.rule or RULES:
                if (name, rule, seed, given.size) not in done:
                    row = {"picture": name, "size": given.size} | trained(rule, Path(path), given.size, seed)
                    with given.out.open("a") as file:
                        file.write(json.dumps(row) + "\n")
                    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
