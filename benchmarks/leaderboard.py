"""The leaderboard: every named recipe as it is, on the Mona Lisa and Kodak pictures, after so many seconds.

    python benchmarks/leaderboard.py                                        all 25 pictures, 10 s and 60 s
    python benchmarks/leaderboard.py 10:mona-lisa:3 10:04,15 --max-pixels 40000     two of its tables

A table is SECONDS:PICTURES[:SEEDS], pictures being `mona-lisa`, `kodak` (all 24) or numbers of Kodak's, one seed
where none are said. Equal processor seconds of one thread, nothing tuned beyond what a recipe says, a tenth of the
pixels hidden; runs that are on the disk (--out) are not run again. Writes benchmarks/leaderboard.md. Pictures:
SFUMATO_DATA with `pictures/`, `kodak/`.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import time
from pathlib import Path

from sfumato.compare import summary
from sfumato.compare.budget import Budget
from sfumato.compare.comparison import Comparison, Request, compare, read_contestant
from sfumato.recipe import NAMED

MOST_NAMED = 4
"""Pictures of a table that its headline names one by one."""

MONA_LISA = "pictures/mona-lisa-300x429.jpg"

TABLES = ("10:mona-lisa:3", "60:mona-lisa:3", "10:kodak", "60:kodak")

HEAD = """# Leaderboard

Every named recipe as it is, by

```sh
{command}
```

Equal processor seconds of one thread a net, one net a process. Steps are planned from what a step costs in a
second's probe, so that each schedule ends with its budget; "seconds" are those that a run then took: fewer where
a net became sparser, or the machine was busier during the probe. A tenth of the pixels is hidden from training:
"seen" is memory, "hidden" is what the net makes of places that it was not told. PSNR in dB, values clipped and
not rounded, mean over pictures and seeds; ± is the standard deviation of the seeds of a picture. Where there is
one seed, tenths mean nothing.{reduced}

{machine}, {day}. Cores were shared with other work: a run got {share:.0%} of one, which
is why seconds are processor seconds; a busy neighbour costs some of them too, and all recipes alike.

Nothing was tuned for these pictures beyond what the recipes hold; one that is made for long budgets (`classic`,
`2012`) is not at home at ten seconds. To find the better of two, tune both: `sfumato compare`, see
[docs/comparing.md](../docs/comparing.md). Figures of the literature stand beside none of these: Fourier features
(25.57 dB on hidden pixels of natural pictures) hide three pixels of four of 512x512 and have 2,000 steps, EVOS
trains on all of 512x512, and neither has a budget in seconds.

"""

REDUCED = " Pictures of Kodak are downscaled to {:,} pixels, of 393,216."


def tables(done: list[Comparison], command: str) -> str:
    """The page."""
    rows = [row for comparison in done for row in comparison.rows if not row.error]
    cores = [row.cores for row in rows if math.isfinite(row.cores)]
    limit = max(comparison.request.max_pixels for comparison in done)
    text = HEAD.format(
        command=command,
        reduced=REDUCED.format(limit) if limit else "",
        machine=_processor(),
        day=time.strftime("%-d %B %Y"),
        share=sum(cores) / max(1, len(cores)),
    )
    for comparison in done:
        request, subjects = comparison.request, comparison.subjects
        names = ", ".join(f"{s.name} ({s.width}x{s.height})" for s in subjects)
        if len(subjects) > MOST_NAMED:
            names = f"{len(subjects)} pictures of Kodak"
        seeds = f"{request.seeds} seed{'s' if request.seeds > 1 else ''}"
        text += f"## {names}: {request.budget}, {seeds}\n\n{_table(comparison)}\n\n"
    return text.rstrip() + "\n"


def _table(comparison: Comparison) -> str:
    lines = [
        "| recipe | seen, dB | hidden, dB | SSIM | parameters | passes | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    best = sorted(
        comparison.labels, key=lambda label: -_nan_low(summary.scores_of(comparison, label, "psnr_seen")[0])
    )
    for label in best:
        seen, hidden = (
            summary.plus_minus(*summary.scores_of(comparison, label, metric))
            for metric in ("psnr_seen", "psnr_hidden")
        )
        ssim = f"{summary.scores_of(comparison, label, 'ssim')[0]:.3f}"
        runs = comparison.of(label)
        failed = f" ({sum(bool(r.error) for r in runs)} failed)" if any(r.error for r in runs) else ""
        fine = [r for r in runs if not r.error]
        # Means, of parameters too: a grid follows the shape of its picture.
        mean = sum(r.epochs for r in fine) / max(1, len(fine))
        passes = (f"{mean:,.0f}" if mean >= 100 else f"{mean:.3g}") if fine else "-"
        count = f"{round(sum(r.parameters for r in fine) / len(fine)):,}" if fine else "-"
        used = f"{sum(r.seconds for r in fine) / len(fine):.3g}" if fine else "-"
        lines.append(f"| `{label}`{failed} | {seen} | {hidden} | {ssim} | {count} | {passes} | {used} |")
    return "\n".join(lines)


def _nan_low(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def files(names: str, data: Path) -> tuple[str, ...]:
    """The pictures that a table names."""
    if names == "mona-lisa":
        return (str(data / MONA_LISA),)
    numbers = [f"{n:02d}" for n in range(1, 25)] if names == "kodak" else names.split(",")
    return tuple(str(data / "kodak" / f"kodim{number}.png") for number in numbers)


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", default=TABLES, metavar="SECONDS:PICTURES[:SEEDS]")
    parser.add_argument("--max-pixels", type=int, default=0, help="larger pictures of Kodak are downscaled")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--out", default="comparisons/leaderboard")
    parser.add_argument("--page", default=str(Path(__file__).with_suffix(".md")))
    asked = parser.parse_args()
    data = Path(os.environ.get("SFUMATO_DATA", "../shared/data"))
    done = []
    for table in asked.tables:
        seconds, names, *seeds = table.split(":")
        request = Request(
            tuple(map(read_contestant, NAMED)),
            pictures=files(names, data),
            budget=Budget(float(seconds)),
            seeds=int(*seeds) if seeds else 1,
            tune=0,
            targets=(),
            looks=2,
            max_pixels=0 if names == "mona-lisa" else asked.max_pixels,
        )
        place = Path(asked.out) / f"{seconds}-{'mona-lisa' if names == 'mona-lisa' else 'kodak'}"
        done.append(compare(request, place, workers=asked.workers, say=lambda text: print(text, flush=True)))
    words = [*([] if asked.tables is TABLES else asked.tables)]
    words += [f"--max-pixels {asked.max_pixels}"] if asked.max_pixels else []
    command = " ".join(["python benchmarks/leaderboard.py", *words])
    Path(asked.page).write_text(tables(done, command), encoding="utf-8")
    print(asked.page)


if __name__ == "__main__":
    main()
