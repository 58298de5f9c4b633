"""Verdicts: quantiles and tests against scipy.stats, error rates by simulation, what must not be said."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from sfumato.compare import statistics as verdicts

LEVELS = (0.75, 0.95, 0.975, 0.99, 0.9995)


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 9, 10, 23, 100, 1001])
@pytest.mark.parametrize("share", LEVELS)
def test_quantiles_of_student_are_those_of_scipy(share: float, freedom: int) -> None:
    # Bisection runs to the last bit of the angle; the tangent loses a few more near a right angle.
    assert verdicts.student(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-9)


@pytest.mark.parametrize("shape", [(1, 5), (6, 1), (6, 3), (24, 2)])
def test_one_kind_of_unit_gives_the_paired_t_interval(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(30, 1, shape), random.normal(29, 1, shape)
    units = (a - b).mean(1) if shape[0] > 1 else (a - b)[0]
    found = verdicts.paired(a, b)
    expected = stats.ttest_1samp(units, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.units == len(units)
    assert found.unit == ("picture" if shape[0] > 1 else "seed")


def test_two_pictures_are_taken_as_they_are() -> None:
    """Two strata of unlike spread: Welch's interval, by hand from scipy's quantile."""
    gaps = np.array([[1.0, 1.2, 0.8, 1.1], [3.0, 5.0, 4.0, 1.0]])
    found = verdicts.paired(gaps, np.zeros_like(gaps))
    of_each = gaps.var(1, ddof=1) / 4
    freedom = math.floor(of_each.sum() ** 2 / (of_each**2 / 3).sum())
    half = stats.t.ppf(0.975, freedom) * math.sqrt(of_each.sum()) / 2
    assert (found.low, found.high) == pytest.approx((gaps.mean() - half, gaps.mean() + half), rel=1e-9)
    assert found.scope == "these 2 pictures"


@pytest.mark.parametrize("count", [4, 6, 11])
def test_permutations_are_those_of_scipy(count: int) -> None:
    values = np.random.default_rng(count).normal(0.4, 1, count)
    expected = stats.permutation_test((values,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert verdicts.permutation(values) == pytest.approx(expected.pvalue, abs=1e-12)


def test_many_units_are_flipped_at_random_but_the_same_way_each_time() -> None:
    values = np.random.default_rng(0).normal(0.35, 1, 30)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=99_999, rng=0
    )
    # 9,999 flips: the standard error of a share p is sqrt(p (1 - p) / 9999), 0.002 at 0.05; five of them.
    assert verdicts.permutation(values) == pytest.approx(expected.pvalue, abs=0.011)
    assert verdicts.permutation(values) == verdicts.permutation(values)


def test_the_smallest_p_of_five_units_is_one_sixteenth() -> None:
    assert verdicts.permutation([1.0, 1.0, 1.0, 1.0, 1.0]) == 2 / 2**5


@pytest.mark.parametrize(("mean", "deviation"), [(1.0, 1.0), (0.5, 1.0), (1.0, 0.4), (2.0, 1.0)])
def test_the_number_that_would_settle_it_has_the_power(mean: float, deviation: float) -> None:
    count = verdicts.units_needed(mean, deviation)

    def power(n: int) -> float:
        edge, shift = stats.t.ppf(0.975, n - 1), mean / deviation * math.sqrt(n)
        return float(stats.nct.sf(edge, n - 1, shift) + stats.nct.cdf(-edge, n - 1, shift))

    # Guenther's approximation is a unit off at most where the noncentral t is far from normal (n below 10).
    assert power(count + 1) >= 0.8
    assert count <= 3 or power(count - 2) < 0.8


@pytest.mark.parametrize("shape", [(1, 5), (3, 5), (6, 3), (12, 2)])
@pytest.mark.parametrize("mean", [0.0, 0.7])
def test_intervals_cover_what_they_promise(shape: tuple[int, int], mean: float) -> None:
    """Nested effects of pictures and seeds, the noise of a picture its own: 2,000 comparisons.

    The standard error of a share 0.95 of 2,000 is 0.005; three of them, for the eight cases that run here.
    """
    random = np.random.default_rng([*shape, round(10 * mean)])
    pictures = shape[0]
    misses = 0
    for _ in range(2000):
        effects = (
            random.normal(0, 0.5, (pictures, 1))
            if pictures >= 4
            else np.linspace(-0.5, 0.5, pictures)[:, None]
        )
        effects = effects if pictures > 1 else np.zeros((1, 1))
        noise = random.normal(0, 1, shape) * (
            1 if pictures >= 4 else np.linspace(0.5, 1.5, pictures)[:, None]
        )
        found = verdicts.paired(mean + effects + noise, np.zeros(shape))
        misses += not found.low <= mean <= found.high
    assert misses / 2000 == pytest.approx(0.05, abs=0.015)


def test_no_verdict_where_the_interval_holds_zero() -> None:
    found = verdicts.paired([[30.0, 31.0, 30.5]], [[30.1, 30.8, 30.2]])
    assert found.low < 0 < found.high and found.better == 0 and found.needed > 3


def test_a_verdict_for_either_side() -> None:
    a, b = [[30.0, 30.1, 30.2, 30.1, 30.0]], [[28.0, 28.2, 28.1, 28.0, 28.1]]
    assert verdicts.paired(a, b).better == 1 and verdicts.paired(b, a).better == -1
    assert verdicts.paired(a, b).needed == 0


def test_one_seed_says_nothing() -> None:
    found = verdicts.paired([[30.0]], [[20.0]])
    assert found.better == 0 and math.isinf(found.high) and found.needed == 0


def test_seeds_are_no_evidence_about_pictures() -> None:
    """Four pictures, two for and two against: a thousand seeds do not decide it."""
    gaps = np.array([1.0, -1.0, 2.0, -1.5])[:, None] + np.random.default_rng(0).normal(0, 0.1, (4, 1000))
    assert verdicts.paired(gaps, np.zeros_like(gaps)).better == 0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_scores_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        verdicts.paired([[bad, 1.0]], [[1.0, 1.0]])
    with pytest.raises(ValueError, match="pictures, seeds"):
        verdicts.paired([[1.0, 1.0]], [[1.0]])


def test_the_time_to_a_target_is_that_of_the_first_beat_there() -> None:
    seconds, scores = [0, 1, 2, 3], [10.0, 25.0, 24.9, 30.0]
    assert verdicts.time_to(seconds, scores, 25) == 1
    assert verdicts.time_to(seconds, scores, 26) == 3
    assert verdicts.time_to(seconds, scores, 31) == math.inf


@pytest.mark.parametrize(
    ("times", "median"),
    [
        ([3, 1, 2], 2),
        ([1, 2, 3, math.inf], 2.5),
        ([1, 2, math.inf, math.inf], math.inf),
        ([math.inf], math.inf),
    ],
)
def test_never_is_infinite_in_a_median(times: list[float], median: float) -> None:
    assert verdicts.median_time(times) == median


def test_profiles_by_hand() -> None:
    """Two recipes, three problems: one each, and one that neither solves."""
    times = [[1.0, 2.0], [6.0, 2.0], [math.inf, math.inf]]
    assert verdicts.profile(times, [1, 2, 3]).tolist() == [[1 / 3, 1 / 3, 2 / 3], [1 / 3, 2 / 3, 2 / 3]]


def test_a_target_met_at_once_leaves_the_others_behind() -> None:
    assert verdicts.profile([[0.0, 0.0, 1.0]], [1, 4]).tolist() == [[1, 1], [1, 1], [0, 0]]


def test_mean_and_spread() -> None:
    assert verdicts.spread([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert math.isnan(verdicts.spread([1.0])[1])
