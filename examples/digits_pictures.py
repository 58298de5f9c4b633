"""All pictures of a digits run: what its hidden units look for, and where it fails.

    sfumato digits --data mnist --recipe 2012
    python examples/digits_pictures.py runs/NAME --out pictures

Writes sheets of the strongest, most used, most alike and random units, the strongest also with the start
subtracted, portraits of twelve strong units, the skip weights if there are some, every mistake with its two best
guesses, and the confusion matrix; prints error and calibration.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sfumato import picture
from sfumato.experiment import prepare
from sfumato.neurons import features, mistakes
from sfumato.run import Run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", help="run directory")
    parser.add_argument("--out", type=Path, default=Path("pictures"))
    given = parser.parse_args()
    run = Run(given.run)
    data, _ = prepare(run.recipe, run.origin.get("source"))
    net = run.net()
    pairs, cosines = features.alike(net)
    found = mistakes.mistakes(net, data)
    matrix = mistakes.confusion(net, data)
    curve = mistakes.calibration(net, data)
    sheets = {
        "strongest": features.sheet(net, data, features.strongest(net)),
        "strongest-since": features.sheet(net, data, features.strongest(net), since=run.recipe),
        "used": features.sheet(net, data, features.used(net, data)),
        "alike": features.sheet(net, data, pairs),
        "random": features.sheet(net, data, features.random(net)),
        "portraits": features.portrait_sheet(net, data, features.strongest(net, 12)),
        "skip": features.skip_sheet(net, data),
        "mistakes": mistakes.mistakes_sheet(found, data),
        "confusion": mistakes.confusion_sheet(matrix, data, found),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    for name, sheet in sheets.items():
        if sheet is not None:
            picture.save(sheet, given.out / f"{name}.png")
    print(
        f"{len(found.samples)} of {len(data.hidden_inputs)} misread; the most alike units: {cosines[0]:.3f}"
    )
    print(f"mean gap between confidence and truth {curve.error:.4f}; confidence, truth, digits:")
    for sure, right, count in zip(curve.confidence, curve.accuracy, curve.counts, strict=True):
        if count:
            print(f"  {sure:.3f}  {right:.3f}  {count}")


if __name__ == "__main__":
    main()
