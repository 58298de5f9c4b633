"""Every idea of docs/ideas.md on one small picture for the same few seconds, tuned alike: its table of figures.

    python benchmarks/ideas.py mona-lisa-300x429.jpg --tune-on kodim08.png

All in PyTorch (engine eager), so that ideas are compared and not kernels.
"""

from __future__ import annotations

import argparse

from sfumato.compare import page, summary
from sfumato.compare.budget import Budget
from sfumato.compare.comparison import Comparison, Contestant, Request, compare
from sfumato.recipe import Recipe

FOLD = Recipe(
    net=(128,) * 4,
    optimizer="adam:beta2=0.99",
    rate=0.002,
    schedule="cosine",
    warmup=0.05,
    batch=1024,
    engine="eager",
    precision="float32",
)
WAVE = FOLD.replace(rate=0.001, warmup=0.0, schedule="hold:share_held=0.6,floor=0.02")
FAST = WAVE.replace(rate=0.005)

IDEAS: dict[str, Recipe] = {
    "relu": FOLD,
    **{name: FOLD.replace(activation=name) for name in ("leaky_relu", "prelu", "maxout", "lwta", "gelu")},
    "topk": FOLD.replace(activation="topk:k=32"),
    "residual": FOLD.replace(residual=2),
    "soap": FOLD.replace(optimizer="soap", rate=0.003),
    "muon": FOLD.replace(optimizer="muon:beta2=0.99", rate=0.03),
    **{name: FOLD.replace(encoding=name) for name in ("one_blob", "triangle", "positional", "fourier")},
    **{
        name: WAVE.replace(activation=name)
        for name in ("sine", "finer", "spder", "h_siren", "sinc", "gaussian")
    },
    **{name: FAST.replace(activation=name) for name in ("wire", "fourier_filter", "gabor_filter")},
}


def table(done: Comparison) -> str:
    """The rows of the page, the best first."""

    def seen(label: str) -> float:
        return summary.scores_of(done, label, "psnr_seen")[0]

    lines = ["| idea | seen, dB | hidden, dB | parameters | passes |", "|---|---|---|---|---|"]
    for label in sorted(done.labels, key=seen, reverse=True):
        runs = [row for row in done.of(label) if not row.error]
        scores = (
            summary.plus_minus(*summary.scores_of(done, label, name)) for name in ("psnr_seen", "psnr_hidden")
        )
        passes = sum(row.epochs for row in runs) / len(runs)
        lines.append(f"| `{label}` | {' | '.join(scores)} | {runs[0].parameters:,} | {passes:.1f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+")
    parser.add_argument("--tune-on", nargs="+", required=True)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tune", type=int, default=3)
    parser.add_argument("--max-pixels", type=int, default=16_000)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--out", default="comparisons/ideas")
    asked = parser.parse_args()
    request = Request(
        tuple(Contestant(name, recipe) for name, recipe in IDEAS.items()),
        pictures=tuple(asked.pictures),
        budget=Budget(asked.seconds),
        seeds=asked.seeds,
        tune=asked.tune,
        tune_on=tuple(asked.tune_on),
        targets=(20.0, 25.0, 30.0, 35.0),
        max_pixels=asked.max_pixels,
    )
    done = compare(request, asked.out, workers=asked.workers, say=lambda text: print(text, flush=True))
    page.write(done)
    print(table(done))


if __name__ == "__main__":
    main()
