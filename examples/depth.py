"""Depth against width: one hidden layer and three, equal parameters, equal epochs, several seeds.

    python examples/depth.py                                   the built-in Mona Lisa at half size
    python examples/depth.py photo.jpg --width 300 --scale 1   the full comparison; the wide net takes hours
    python examples/depth.py --rule 2012                       one sample a step, as the 2012 program learned

Each shape gets its own learning rate: rates a factor 3 apart, a fifth of the epochs, one seed; the search goes on
while the best one lies at an edge. Under the rule of 2012 both keep the rates that the rule prescribes. Prints the
gap in decibels with its spread, and leaves the paintings side by side (--picture) and a page with both (--page).
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
from itertools import pairwise
from pathlib import Path

from sfumato import engine, nets, picture
from sfumato.errors import RunError
from sfumato.picture import Picture, metrics
from sfumato.recipe import Recipe, named, net_text
from sfumato.tasks import picture as task
from sfumato.training import train

Shape = tuple[int, ...]


def parameters(shape: Shape, outputs: int) -> int:
    """Weights and biases of a net on (x, y)."""
    return sum((a + 1) * b for a, b in pairwise((2, *shape, outputs)))


def flattened(shape: Shape, outputs: int) -> Shape:
    """The one hidden layer whose net has as many parameters as `shape`'s, to within half a unit."""
    return (round((parameters(shape, outputs) - outputs) / (3 + outputs)),)


def learn(target: Picture, recipe: Recipe) -> tuple[float, Picture]:
    """Train to the end of the budget: PSNR in decibels, and the painting. A run that explodes has -inf."""
    data = task.pixel_data(target, recipe)
    net = nets.build(recipe, 2, target.channels)
    try:
        for _ in train(net, data, recipe):
            pass
    except RunError:
        return -math.inf, target
    painting = task.draw(net, data)
    return metrics.psnr(target.values, painting.values), painting


def best_rate(target: Picture, recipe: Recipe, start: float) -> tuple[float, str]:
    """The rate that paints best on a fifth of the budget, and the search as text."""
    found: dict[float, float] = {}

    def look(rate: float) -> None:
        if rate not in found:
            found[rate] = learn(target, recipe.replace(rate=rate, epochs=recipe.epochs / 5))[0]

    for rate in (start / 3, start, start * 3):
        look(rate)
    while (best := max(found, key=lambda rate: found[rate])) in (min(found), max(found)):
        look(best / 3 if best == min(found) else best * 3)
    return best, ", ".join(f"{rate:.2g}: {found[rate]:.2f}" for rate in sorted(found))


def spread(values: list[float]) -> str:
    """Mean and standard deviation, in decibels."""
    return f"{statistics.mean(values):.2f} ± {statistics.stdev(values) if len(values) > 1 else math.nan:.2f}"


def base(rule: str, epochs: float) -> Recipe:
    """The recipe that both shapes share. Adam treats all layers alike; Muon would favour the deep net."""
    if rule == "2012":
        return named("2012").replace(epochs=epochs)
    return Recipe(optimizer="adam", schedule="cosine", warmup=0.1, batch=512, epochs=epochs)


def compare(target: Picture, deep: Shape, rule: str, epochs: float, seeds: int) -> tuple[str, list[Picture]]:
    """All runs of one comparison: the table with its verdict as Markdown, and one painting of each shape."""
    rows, paintings, scores = [], [], {}
    starts = {deep: 2e-3, flattened(deep, target.channels): 1e-3}
    for shape, start in starts.items():
        recipe = base(rule, epochs).replace(net=shape)
        searched = "prescribed"
        if rule != "2012":
            rate, searched = best_rate(target, recipe, start)
            recipe = recipe.replace(rate=rate)
        runs = [learn(target, recipe.replace(seed=seed)) for seed in range(seeds)]
        scores[shape] = [decibels for decibels, _ in runs]
        paintings.append(runs[0][1])
        listed = ", ".join(f"{value:.2f}" for value in scores[shape])
        row = (
            net_text(shape),
            f"{parameters(shape, target.channels):,}",
            f"{recipe.rate:.2g}",
            searched,
            listed,
            spread(scores[shape]),
        )
        rows.append("| " + " | ".join(row) + " |")
        print(rows[-1], flush=True)
    gaps = [a - b for a, b in zip(*scores.values(), strict=True)]
    verdict = f"{len(deep)} hidden layers against one: **{spread(gaps)} dB** over {seeds} seeds (mean ± sd)."
    head = "| net | parameters | rate | rates tried: PSNR | PSNR of each seed | mean ± sd |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows, "", verdict]), paintings


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("source", nargs="?", metavar="PICTURE", help="default: the built-in Mona Lisa")
    options.add_argument("--layers", type=int, default=3)
    options.add_argument("--width", type=int, default=100)
    options.add_argument("--scale", type=float, default=0.5, help="of each side of the picture")
    options.add_argument("--epochs", type=float, default=50.0)
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--rule", choices=("adam", "2012"), default="adam")
    options.add_argument("--picture", type=Path, help="where the paintings side by side go, a JPEG")
    options.add_argument("--page", type=Path, help="a Markdown file to which the table is added")
    wanted = options.parse_args()

    target = task.load(wanted.source, base(wanted.rule, wanted.epochs)).facts["picture"]
    height, width = (max(1, round(side * wanted.scale)) for side in (target.height, target.width))
    if (height, width) != (target.height, target.width):
        target = picture.resize(target, height, width)
    conditions = f"{target.name} at {width}x{height}, rule {wanted.rule}, {wanted.epochs:g} epochs"
    conditions += f", engine {engine.settle(base(wanted.rule, wanted.epochs)).engine}"
    print(conditions, flush=True)
    table, paintings = compare(
        target, (wanted.width,) * wanted.layers, wanted.rule, wanted.epochs, wanted.seeds
    )
    print(table.splitlines()[-1].replace("**", ""))
    if wanted.picture:
        labels = ["the picture", f"{wanted.layers} layers", "1 layer"]
        picture.save(
            picture.sheet([target, *paintings], columns=3, captions=labels), wanted.picture, quality=88
        )
    if wanted.page:
        with wanted.page.open("a", encoding="utf-8") as page:
            page.write(f"\n### {conditions}\n\n{table}\n")
            if wanted.picture:
                shown = os.path.relpath(wanted.picture, wanted.page.parent)
                page.write(f"\n![the picture, {wanted.layers} layers, 1 layer]({shown})\n")


if __name__ == "__main__":
    main()
