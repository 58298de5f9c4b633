"""Comparators: what is near enough, said once, with everything one wants to know when it is not.

`numpy.allclose` broadcasts, passes empty arrays, and lets a zeroed row of gradients hide below its absolute
tolerance. These two do not. `why` is the reason for the bound and stands beside it in the test.
"""

from __future__ import annotations

from typing import Any

import numpy as np

BOUNDS: dict[str, tuple[float, str]] = {
    "gradient float32": (1e-5, "float32 sums differ from float64 by 5e-8 to 3e-7 relative L2"),
    "gradient float32, steep": (
        1e-4,
        "a phase of finer reaches 130 radians, where float32 has steps of 1.5e-5; the slope of sinc near 0 is a "
        "difference of two numbers that are nearly equal",
    ),
    "gradient float64": (1e-12, "two orders of summation in float64 differ by 3e-16"),
    "trace": (1e-5, "8 steps in float32 differ from float64 by 1.2e-7; the smallest bug planted by 8e-5"),
    "adam 20": (1e-10, "20 steps in float64 differ by 4e-16 where rounding does not grow"),
    "adam 20 sine": (1e-8, "sine amplifies rounding: 4e-10 after 20 steps"),
    "float32": (1e-6, "a few roundings of 6e-8"),
    "float64": (1e-13, "a few roundings of 1.1e-16"),
}
"""The bounds of the tests, each with its reason: `close(a, b, **bound("trace"))`."""


def bound(name: str) -> dict[str, Any]:
    """`rel` and `why` of a bound of the table."""
    rel, why = BOUNDS[name]
    return {"rel": rel, "why": f"{name}: {why}"}


def close(actual: Any, reference: Any, *, rel: float, why: str) -> None:
    """Fail unless every value of `actual` is within `rel` of `reference`, relative to their size.

    The size of a value is (|a| + |r|) / 2, with a floor of the mean |r|: errors of values that are small
    beside the rest are measured against the rest. Shapes must be equal, nothing empty, nothing nan or inf.
    """
    a, r = _arrays(actual, reference, why)
    size = np.maximum((np.abs(a) + np.abs(r)) / 2, np.abs(r).mean())
    error = np.abs(a - r)
    bad = error > rel * size
    if bad.any():
        worst = np.unravel_index(np.argmax(error / np.maximum(size, 1e-300)), a.shape)
        at = tuple(int(i) for i in worst)
        raise AssertionError(
            f"{bad.sum()} of {a.size} values differ by more than {rel:g}; worst at {at}: {a[worst]!r} "
            f"against {r[worst]!r}, {error[worst] / max(size[worst], 1e-300):.3g} of its size\nbound: {why}"
        )


def same_gradients(
    actual: Any, reference: Any, *, rel: float, why: str, outliers: int = 0, dtype: Any = None
) -> None:
    """Fail unless two gradients of one tensor agree as a whole, row by row, and in direction and sign.

    rel bounds the relative L2 distance. Each row's length may differ by a factor 1 +- 10 rel, 1 - cosine may be
    10 rel^2 (at least 1e-13), the mean signed error 10 rel of the mean |r|; a row, however small, may not be zero
    on one side alone. outliers: rows that a
    discontinuity may spoil (kinks of ReLU, borders of cells); they count in none of this.
    dtype: what `actual` must be. One-dimensional gradients are one row.
    """
    if dtype is not None and np.asarray(actual).dtype != np.dtype(dtype):
        raise AssertionError(f"dtype {np.asarray(actual).dtype}, expected {np.dtype(dtype)}\nbound: {why}")
    a, r = _arrays(actual, reference, why)
    a, r = np.atleast_2d(a), np.atleast_2d(r)
    a, r = a.reshape(len(a), -1), r.reshape(len(r), -1)
    if not r.any() or not a.any():
        if r.any() or a.any():
            raise AssertionError(f"everything is zero on one side\nbound: {why}")
        return
    floor = rel * float(np.linalg.norm(r)) / np.sqrt(len(r))
    off = np.linalg.norm(a - r, axis=1) / np.maximum(np.linalg.norm(r, axis=1), floor)
    if outliers:
        keep = np.sort(np.argsort(off, kind="stable")[: max(1, len(r) - outliers)])
        a, r = a[keep], r[keep]
    length_a, length_r = np.linalg.norm(a, axis=1), np.linalg.norm(r, axis=1)
    alive = np.maximum(length_a, length_r) > floor
    ratio = length_a[alive] / np.maximum(length_r[alive], 1e-300)
    distance = float(np.linalg.norm(a - r) / max(np.linalg.norm(r), 1e-300))
    cosine = float((a * r).sum() / max(np.linalg.norm(a) * np.linalg.norm(r), 1e-300))
    # The worst single row shows a sign flipped in a row that is small beside the others.
    row_cosine = (a * r).sum(1)[alive] / np.maximum(length_a * length_r, 1e-300)[alive]
    bias = float(np.mean(a - r) / max(float(np.mean(np.abs(r))), 1e-300))
    low, high = (float(ratio.min()), float(ratio.max())) if alive.any() else (1.0, 1.0)
    turned = float(row_cosine.min()) if alive.any() else 1.0
    lost = int(((length_a == 0) != (length_r == 0)).sum())
    slack = max(10 * rel, 1e-12)
    tilt = max(10 * rel**2, 1e-13)
    if (
        distance > rel
        or lost
        or low < 1 - slack
        or high > 1 + slack
        or 1 - cosine > tilt
        or 1 - turned > max(tilt, slack)
        or abs(bias) > slack
    ):
        worst = int(np.argmax(np.linalg.norm(a - r, axis=1)))
        raise AssertionError(
            f"gradients differ: relative L2 {distance:.3g} (bound {rel:g}), rows' lengths {low:.6g} to {high:.6g}, "
            f"{lost} rows zero on one side alone, "
            f"1 - cosine {1 - cosine:.3g}, worst row's cosine {turned:.6g}, signed bias {bias:.3g}, "
            f"worst row {worst}: {length_a[worst]:.6g} against {length_r[worst]:.6g}\nbound: {why}"
        )


def equal_bits(actual: dict[str, Any], reference: dict[str, Any]) -> None:
    """Fail unless two sets of named tensors are equal bit for bit."""
    if actual.keys() != reference.keys() or not actual:
        raise AssertionError(f"names differ: {sorted(actual)} against {sorted(reference)}")
    for name in actual:
        a, r = np.asarray(actual[name]), np.asarray(reference[name])
        if a.dtype != r.dtype or a.shape != r.shape or a.tobytes() != r.tobytes():
            raise AssertionError(f"{name} differs in some bit")


def _arrays(actual: Any, reference: Any, why: str) -> tuple[Any, Any]:
    a, r = np.asarray(actual), np.asarray(reference)
    if not why:
        raise AssertionError("a bound needs its reason")
    if a.shape != r.shape:
        raise AssertionError(f"shape {a.shape} against {r.shape}\nbound: {why}")
    if not a.size:
        raise AssertionError(f"nothing to compare: shape {a.shape}\nbound: {why}")
    a, r = a.astype(np.float64), r.astype(np.float64)
    for values, side in ((a, "actual"), (r, "reference")):
        if not np.isfinite(values).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise AssertionError(f"{side} is not finite at {where}\nbound: {why}")
    return a, r
