"""Which samples a step sees, in which order: variants of the recipe's `sampling`.

Each is a pure function of a random generator, the samples in the order of a space-filling curve, the batch and the
samples' errors, and returns the N indices of one epoch, int32: minibatch s is entries s batch ... (s + 1) batch.
An epoch is always N visits, ceil(N / batch) steps. Facts beside a variant: `along_curve`, it orders samples along a
curve, so they must lie in a plane; `follows_errors`, it looks at the errors, so that the order of an epoch is known
only when the one before is over.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..data import Array
from ..errors import RecipeError
from ..recipe.variants import facts

__all__ = ["error", "hilbert", "stratified", "uniform"]

Indices = npt.NDArray[np.int32]

CURVE_BITS = 16
"""Binary digits of a place along each axis: finer than the pixels of any picture that is trained on."""


def uniform(generator: np.random.Generator, curve: Indices, batch: int, errors: Array) -> Indices:
    """Each sample once an epoch, in an order that is random through and through."""
    return generator.permutation(len(curve)).astype(np.int32)


@facts(along_curve=True)
def stratified(generator: np.random.Generator, curve: Indices, batch: int, errors: Array) -> Indices:
    """Each sample once an epoch, each minibatch spread evenly over the picture and in the curve's order.

    The curve is cut into `batch` cells of equal length; a step takes one sample of each, in an order within the
    cell that is random and new each epoch. Where the batch does not divide N, some cells hold one sample more than
    others, and these make up the last, shorter minibatch.
    """
    return curve[_one_of_each_cell(generator, len(curve), batch)]


@facts(along_curve=True, follows_errors=True)
def error(
    generator: np.random.Generator,
    curve: Indices,
    batch: int,
    errors: Array,
    *,
    mix: float = 0.2,
    power: float = 0.5,
) -> Indices:
    """Samples are visited the oftener the larger their error was at their last visit; spread like `stratified`.

    Sample i is visited N p_i times an epoch on average, p_i = mix / N + (1 - mix) error_i^power / sum of all
    error^power, and in any one epoch that number rounded down or up. mix: in (0, 1], the visits an epoch that a
    sample without any error still gets, so a sample is left out of n epochs running with a probability of at most
    (1 - mix)^n. power: in [0, 4]. The error is the sample's own loss; errors are those known when the epoch
    began (all equal before the first), so the first epoch is one of `stratified`. Gradients are not weighted
    back: what falls fastest is the mean of error^(1 + power) and not that of the error. RecipeError for mix or
    power out of range.

    The N visits are points at equal distances along the curve in which each sample has the length p_i
    (systematic sampling; Carpenter, Clifford and Fearnhead 1999), shared out to minibatches as `stratified` does.
    """
    if not 0 < mix <= 1 or not 0 <= power <= 4:
        raise RecipeError(f"error: mix={mix} must lie in (0, 1] and power={power} in [0, 4]")
    count = len(curve)
    weights = np.nan_to_num(errors[curve].astype(np.float64), nan=0.0, posinf=0.0) ** power
    total = weights.sum()
    visits = mix + (1 - mix) * count * weights / total if total > 0 else np.ones(count)
    ends = np.cumsum(visits)
    ends *= count / ends[-1]  # exactly N at the end, whatever rounding did on the way
    points = np.arange(count) + generator.random()
    found = np.minimum(np.searchsorted(ends, points, side="right"), count - 1)
    return curve[found[_one_of_each_cell(generator, count, batch)]]


def hilbert(places: Array) -> Indices:
    """The order in which Hilbert's curve visits places (N, 2): neighbours on it are neighbours in the plane.

    The places' own range is taken as the square that the curve fills. Points in the same of its 2^32 cells keep
    their order. Paper: Hilbert 1891; the digits are found as in Warren, Hacker's Delight, section 16-2.
    """
    low, high = places.min(0), places.max(0)
    share = (places - low) / np.where(high > low, high - low, 1)
    x, y = np.minimum(share.astype(np.float64) * 2**CURVE_BITS, 2**CURVE_BITS - 1).astype(np.int64).T
    along = np.zeros(len(places), np.int64)
    for bit in range(CURVE_BITS - 1, -1, -1):
        right, down = x >> bit & 1, y >> bit & 1
        along = along << 2 | (3 * right ^ down)
        turned = right * (1 - down) * (2**bit - 1)  # the lower quarter at the end runs backwards
        x, y = x ^ turned, y ^ turned
        x, y = np.where(down, x, y), np.where(down, y, x)
    return np.argsort(along, kind="stable").astype(np.int32)


def _one_of_each_cell(generator: np.random.Generator, count: int, batch: int) -> npt.NDArray[np.intp]:
    """0 ... count - 1 as steps of ascending numbers, one from each of `batch` cells of nearly equal size."""
    cells = min(batch, count)
    starts = np.arange(cells + 1) * count // cells
    steps = -(-count // cells)
    keys = generator.random((cells, steps), np.float32)
    full = np.diff(starts) == steps
    keys[~full, -1] = 2  # a place that a shorter cell does not have: no other key is as large
    order = keys.argsort(1) + starts[:-1, None]
    return np.concatenate([order[:, :-1].T.ravel(), order[full, -1]])


hilbert._variant = False  # type: ignore[attr-defined]  # not a sampling, see recipe.public
