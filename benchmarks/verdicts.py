"""Error rates of verdicts by simulation, for the interval that is used and for those that were passed over.

    python benchmarks/verdicts.py            2,000 comparisons of equals a row
    python benchmarks/verdicts.py --pairs 10 at the level that ten comparisons at a time ask for

A row: a design (pictures x seeds), a distribution of the noise, and how often each method says that one of two
equal recipes is better; with a true difference in place of 0 the same share is what the interval misses.
"""

from __future__ import annotations

import argparse

import numpy as np
import numpy.typing as npt
from scipy import stats

from sfumato.compare.statistics import MANY_PICTURES, paired

Array = npt.NDArray[np.float64]

DESIGNS = ((1, 3), (1, 5), (1, 10), (3, 5), (4, 3), (6, 5), (24, 2))
NOISES = ("normal", "t4", "uniform", "lognormal")
"""Heavy tails (Student's t, 4 degrees), none, and a skew of 1.75 (the log's standard deviation 0.5)."""


def noise(kind: str, shape: tuple[int, ...], random: np.random.Generator) -> Array:
    """Mean 0, standard deviation 1."""
    if kind == "t4":
        return random.standard_t(4, shape) / np.sqrt(2)
    if kind == "uniform":
        return random.uniform(-np.sqrt(3), np.sqrt(3), shape)
    if kind == "lognormal":
        values = random.lognormal(0, 0.5, shape)
        return (values - np.exp(0.125)) / np.sqrt((np.exp(0.25) - 1) * np.exp(0.25))
    return random.normal(0, 1, shape)


def gaps(design: tuple[int, int], kind: str, random: np.random.Generator) -> Array:
    """Differences (pictures, seeds) of equals: effects of pictures, drawn or fixed with mean 0, and of seeds."""
    pictures = design[0]
    if pictures >= MANY_PICTURES:
        return 0.5 * noise(kind, (pictures, 1), random) + noise(kind, design, random)
    fixed = np.linspace(-0.5, 0.5, pictures) if pictures > 1 else np.zeros(1)
    scales = np.linspace(0.5, 1.5, pictures) if pictures > 1 else np.ones(1)
    return fixed[:, None] + scales[:, None] * noise(kind, design, random)


def bootstraps(units: Array, level: float) -> dict[str, bool]:
    """Whether each bootstrap interval of the mean leaves 0 out; the studentised one is symmetric."""
    result = {}
    for method in ("percentile", "BCa"):
        found = stats.bootstrap(
            (units,), np.mean, confidence_level=level, method=method, n_resamples=999, rng=0, vectorized=True
        ).confidence_interval
        result[method] = bool(found.low > 0 or found.high < 0)
    drawn = units[np.random.default_rng(0).integers(0, len(units), (999, len(units)))]
    errors = drawn.std(1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num(abs(drawn.mean(1) - units.mean()) / errors, nan=0, posinf=np.inf)
    result["studentised"] = bool(abs(units.mean()) / units.std(ddof=1) > np.quantile(ratios, level))
    return result


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--comparisons", type=int, default=2000)
    options.add_argument(
        "--rivals", type=int, default=0, help="comparisons in which bootstraps are tried too"
    )
    options.add_argument("--pairs", type=int, default=1)
    wanted = options.parse_args()
    level = 1 - 0.05 / wanted.pairs
    print("| pictures x seeds | noise | verdict where there is none | flips p < 0.05 | rivals |")
    print("|---|---|---|---|---|")
    for design in DESIGNS:
        for kind in NOISES:
            random = np.random.default_rng([*design, NOISES.index(kind)])
            said, flipped = 0, 0
            others: dict[str, int] = {}
            for number in range(wanted.comparisons):
                drawn = gaps(design, kind, random)
                found = paired(drawn, np.zeros_like(drawn), level=level)
                said += found.better != 0
                flipped += found.p < 0.05
                if number < wanted.rivals and not 1 < design[0] < MANY_PICTURES:
                    units = drawn.mean(1) if design[0] > 1 else drawn[0]
                    for name, left_out in bootstraps(units, level).items():
                        others[name] = others.get(name, 0) + left_out
            rivals = ", ".join(f"{name} {100 * n / wanted.rivals:.1f} %" for name, n in others.items())
            print(
                f"| {design[0]} x {design[1]} | {kind} | {100 * said / wanted.comparisons:.1f} % | "
                f"{100 * flipped / wanted.comparisons:.1f} % | {rivals} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
