"""The leaderboard: every named recipe as it is, on the Mona Lisa and Kodak pictures, after so many seconds.

    python benchmarks/leaderboard.py                              benchmarks/leaderboard.md
    python benchmarks/leaderboard.py --kodak 04,15 --seconds 10   a part of it, into the same folder of runs

Equal processor seconds of one thread, nothing tuned beyond what a recipe says, a tenth of the pixels hidden; runs
that are on the disk (--out) are not run again. Pictures: SFUMATO_DATA with `pictures/` and `kodak/`.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from itertools import groupby
from pathlib import Path

from sfumato.compare import summary
from sfumato.compare.budget import Budget
from sfumato.compare.comparison import Comparison, Request, compare, read_contestant
from sfumato.recipe import NAMED

MONA_LISA = "pictures/mona-lisa-300x429.jpg"

HEAD = """# Leaderboard

Every named recipe as it is, by `{command}`: equal
processor seconds of one thread a net, one net a process, planned so that each schedule ends with its budget. A
tenth of the pixels is hidden from training: "seen" is memory, "hidden" is what the net makes of places that it was
not told. PSNR in dB, values clipped and not rounded. {seeds}

{machine}, {day}. Cores were shared with other work: a run got {share:.0%} of one, which
is why seconds are processor seconds.

Nothing was tuned for these pictures beyond what the recipes hold; one that is made for long budgets (`classic`,
`2012`) is not at home at ten seconds. To find the better of two, tune both: `sfumato compare`, see
[docs/comparing.md](../docs/comparing.md).

"""


def tables(done: list[Comparison], command: str) -> str:
    """The page."""
    rows = [row for comparison in done for row in comparison.rows if not row.error]
    seeds = done[0].request.seeds
    cores = [row.cores for row in rows if math.isfinite(row.cores)]
    text = HEAD.format(
        command=command,
        seeds=f"{seeds} seeds, mean ± standard deviation." if seeds > 1 else "One seed: tenths mean nothing.",
        machine=_processor(),
        day=time.strftime("%-d %B %Y"),
        share=sum(cores) / max(1, len(cores)),
    )
    kinds = sorted(done, key=lambda c: (c.subjects[0].name != "mona-lisa-300x429", c.request.budget.seconds))
    for _, group in groupby(kinds, key=lambda c: c.subjects[0].name):
        for comparison in group:
            names = ", ".join(f"{s.name} ({s.width}x{s.height})" for s in comparison.subjects)
            text += f"## {names}: {comparison.request.budget}\n\n{_table(comparison)}\n\n"
    return text.rstrip() + "\n"


def _table(comparison: Comparison) -> str:
    lines = ["| recipe | seen, dB | hidden, dB | SSIM | parameters | passes |", "|---|---|---|---|---|---|"]
    best = sorted(
        comparison.labels, key=lambda label: -_nan_low(summary.scores_of(comparison, label, "psnr_seen")[0])
    )
    for label in best:
        seen, hidden, ssim = (
            summary.plus_minus(*summary.scores_of(comparison, label, metric))
            for metric in ("psnr_seen", "psnr_hidden", "ssim")
        )
        runs = comparison.of(label)
        failed = f" ({sum(bool(r.error) for r in runs)} failed)" if any(r.error for r in runs) else ""
        fine = [r for r in runs if not r.error]
        passes = f"{sum(r.epochs for r in fine) / len(fine):.3g}" if fine else "-"
        count = f"{fine[0].parameters:,}" if fine else "-"
        lines.append(f"| `{label}`{failed} | {seen} | {hidden} | {ssim} | {count} | {passes} |")
    return "\n".join(lines)


def _nan_low(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kodak", default=",".join(f"{n:02d}" for n in range(1, 25)), help="numbers, or none"
    )
    parser.add_argument("--seconds", default="10,60")
    parser.add_argument("--seconds-kodak", default="", help="as --seconds where it is empty")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--recipes", default=",".join(NAMED))
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--out", default="comparisons/leaderboard")
    parser.add_argument("--page", default=str(Path(__file__).with_suffix(".md")))
    asked = parser.parse_args()
    data = Path(os.environ.get("SFUMATO_DATA", "../shared/data"))
    kodak = [] if asked.kodak == "none" else asked.kodak.split(",")
    sets = [((str(data / MONA_LISA),), asked.seconds)]
    if kodak:
        pictures = tuple(str(data / "kodak" / f"kodim{number}.png") for number in kodak)
        sets.append((pictures, asked.seconds_kodak or asked.seconds))
    done = []
    for pictures, budgets in sets:
        for seconds in filter(None, budgets.split(",")):
            request = Request(
                tuple(map(read_contestant, asked.recipes.split(","))),
                pictures=pictures,
                budget=Budget(float(seconds)),
                seeds=asked.seeds,
                tune=0,
                targets=(25.0, 30.0, 35.0, 40.0),
            )
            place = Path(asked.out) / f"{Path(pictures[0]).stem}-{len(pictures)}_{seconds}s"
            done.append(
                compare(request, place, workers=asked.workers, say=lambda text: print(text, flush=True))
            )
    words = [
        f"--{n} {getattr(asked, n.replace('-', '_'))}" for n in ("kodak", "seconds", "seconds-kodak", "seeds")
    ]
    shown = " ".join(word for word in words if not word.endswith(" "))
    Path(asked.page).write_text(tables(done, f"python benchmarks/leaderboard.py {shown}"), encoding="utf-8")
    print(asked.page)


if __name__ == "__main__":
    main()
