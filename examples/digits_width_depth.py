"""Width and depth on the digits bench: what more units in one layer buy, and what more layers buy instead.

    python examples/digits_width_depth.py                    all recipes, three seeds: minutes
    python examples/digits_width_depth.py --seeds 0 --set epochs=2

Reads the recipes digits-width-*.json and digits-depth-*.json beside this file. They share everything but the net:
the first 10,000 training digits, 10 passes of Adam, no regularisation; errors are counted on the validation split,
so that the test set stays untouched. Nets of 1 to 4 layers have equal parameters, to within half a unit a layer.
Prints a table in Markdown, and with --plot draws it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from sfumato import nets
from sfumato.recipe import Recipe, net_text, read_recipe
from sfumato.tasks import digits
from sfumato.training import train

HERE = Path(__file__).parent


def recipes() -> list[Recipe]:
    """The recipes of the study: one layer by width, then equal parameters by depth."""
    files = [*HERE.glob("digits-width-*.json"), *HERE.glob("digits-depth-*.json")]
    found = [read_recipe(str(path)) for path in files]
    return sorted(found, key=lambda recipe: (len(recipe.net), recipe.net))


def learn(recipe: Recipe, source: str | None) -> dict[str, object]:
    """One run: its net, parameters, error in percent and training seconds."""
    data = digits.load(source, recipe)
    net = nets.build(recipe, data.inputs.shape[1], data.targets.shape[1])
    spent = 0.0
    started = time.process_time()
    for tick in train(net, data, recipe):
        spent = tick.seconds
    error = digits.score(net, data, digits.draw(net, data))["validation_error"]
    return {
        "net": net_text(recipe.net),
        "layers": len(recipe.net),
        "seed": recipe.seed,
        "parameters": net.parameter_count,
        "error": 100 * error,
        "seconds": round(spent, 2),
        "cpu_seconds": round(time.process_time() - started, 2),
    }


def table(rows: list[dict[str, object]]) -> str:
    """Mean and standard deviation over seeds, a line a net."""
    lines = ["| net | parameters | error on validation, % | seeds | CPU-s a run |", "|---|---|---|---|---|"]
    for name in dict.fromkeys(row["net"] for row in rows):
        mine = [row for row in rows if row["net"] == name]
        errors = [float(str(row["error"])) for row in mine]
        spread = f" ± {statistics.stdev(errors):.2f}" if len(errors) > 1 else ""
        seconds = statistics.mean(float(str(row["cpu_seconds"])) for row in mine)
        lines.append(
            f"| {name} | {mine[0]['parameters']:,} | {statistics.mean(errors):.2f}{spread} "
            f"| {len(mine)} | {seconds:.1f} |"
        )
    return "\n".join(lines)


def plot(rows: list[dict[str, object]], path: Path) -> None:
    """Error against parameters: a line for one layer, a mark for each deeper net. Needs matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4), layout="constrained")
    for layers, mark in ((1, "o-"), (2, "s"), (3, "^"), (4, "D")):
        mine = [row for row in rows if row["layers"] == layers]
        names = list(dict.fromkeys(row["net"] for row in mine))
        points = []
        for name in names:
            errors = [float(str(row["error"])) for row in mine if row["net"] == name]
            sizes = [int(str(row["parameters"])) for row in mine if row["net"] == name]
            spread = statistics.stdev(errors) if len(errors) > 1 else 0.0
            points.append((sizes[0], statistics.mean(errors), spread))
        points.sort()
        if points:
            label = "1 hidden layer" if layers == 1 else f"{layers} layers, equal parameters"
            axes.errorbar(*zip(*[p[:2] for p in points], strict=True), [p[2] for p in points], fmt=mark,
                          capsize=3, label=label)  # fmt: skip
    axes.set(xscale="log", xlabel="parameters", ylabel="error on 10,000 validation digits, %")
    axes.legend(frameon=False)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", default="mnist", help="mnist, fashion, kmnist or digits8x8")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change all recipes"
    )
    parser.add_argument("--record", type=Path, help="append each run to this file, and skip those it has")
    parser.add_argument("--plot", type=Path, help="draw the table into this file")
    given = parser.parse_args()
    changes = dict(text.split("=", 1) for text in given.set)
    rows: list[dict[str, object]] = []
    if given.record and given.record.exists():
        rows = [json.loads(line) for line in given.record.read_text(encoding="utf-8").splitlines()]
    for seed in map(int, given.seeds.split(",")):
        for recipe in recipes():
            recipe = recipe.replace(seed=seed, **changes)
            if any(row["net"] == net_text(recipe.net) and row["seed"] == seed for row in rows):
                continue
            rows.append(learn(recipe, given.data))
            print(json.dumps(rows[-1]), flush=True)
            if given.record:
                with given.record.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
    rows.sort(key=lambda row: (int(str(row["layers"])), int(str(row["parameters"])), int(str(row["seed"]))))
    print(table(rows))
    if given.plot:
        plot(rows, given.plot)


if __name__ == "__main__":
    main()
