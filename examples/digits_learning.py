"""Learning curves of digits runs against passes and against seconds, with the claim of 2012 marked.

    python examples/digits_learning.py RUN [RUN ...] --out learning

Writes learning-passes.png and learning-seconds.png; the line at 1.2 % is the error that the 2012 post reports after
about 30 passes. Runs need metrics on the way: `--frames linear:31`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sfumato import picture
from sfumato.drawing import charts
from sfumato.run import Run

CLAIM = 1.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("runs", nargs="+", help="run directories")
    parser.add_argument("--out", type=Path, default=Path("learning"))
    given = parser.parse_args()
    runs = [Run(folder) for folder in given.runs]
    for key, label in (("epoch", "passes"), ("seconds", "seconds of training")):
        lines = []
        for run in runs:
            history = [line for line in run.history if line["epoch"] >= 1]
            x = np.array([line[key] for line in history], float)
            y = np.array([100 * line["test_error"] for line in history], float)
            lines.append(charts.Series(f"seed {run.recipe.seed}", x, y))
        end = max(float(line.x[-1]) for line in lines)
        start = min(float(line.x[0]) for line in lines)
        lines.append(
            charts.Series("1.2 %, 2012", np.array([start, end]), np.array([CLAIM, CLAIM]), (120, 120, 120))
        )
        drawn = charts.chart(
            lines, title="Digits misread", x_label=label, y_label="test error, %", from_zero=True
        )
        picture.save(drawn, Path(f"{given.out}-{label.split()[0]}.png"))


if __name__ == "__main__":
    main()
