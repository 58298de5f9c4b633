"""Beats: the steps at which a run is looked at, decided before it starts.

Between two beats an engine runs without interruption. Step 0 (the untrained net) and the last step are always
beats.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import RecipeError

__all__ = ["every", "is_number", "linear", "listed", "logarithmic", "parse"]


MOST = 100_000
"""Beats of a run: each leaves a file, and a folder of more is a slip of the keyboard."""


def every(total: int, step: int) -> list[int]:
    """0, `step`, 2 `step`, ... and `total`."""
    if step < 1:
        raise RecipeError(f"beats every {step} steps: must be at least 1")
    _few(f"every:{step}", total // step)
    return listed(total, range(0, total, step))


def linear(total: int, count: int) -> list[int]:
    """About `count` evenly spaced steps from 0 to `total`, both included."""
    if count < 0:
        raise RecipeError(f"beats linear:{count}: must be at least 0")
    _few(f"linear:{count}", count)
    if count < 2:
        return listed(total, ())
    return listed(total, (round(i * total / (count - 1)) for i in range(count)))


def logarithmic(total: int, count: int) -> list[int]:
    """About `count` steps from 0 to `total`: dense early, where most changes, and log-spaced later.

    Every step is a beat at first; then the gaps grow geometrically, and are at most twice the even spacing, so
    that the second half of a film does not stand still.
    """
    _few(str(count), count)
    if count < 2 or total < 1:
        return listed(total, ())
    count = min(count, total + 1)
    low, high = 1.0, float(max(2, total))
    for _ in range(60):  # bisection on the growth so that the number of beats comes out right
        middle = (low * high) ** 0.5
        low, high = (middle, high) if len(_growing(total, middle, count)) > count else (low, middle)
    return _growing(total, high, count)


def listed(total: int, steps: Iterable[int]) -> list[int]:
    """The given steps that lie in [0, `total`], sorted, without repeats, 0 and `total` added."""
    return sorted({0, total} | {int(s) for s in steps if 0 <= s <= total})


def is_number(text: str) -> bool:
    """Whether text asks for a number of beats, wherever they lie, and not for steps: `150`, `linear:100`."""
    kind, _, rest = text.strip().rpartition(":")
    return kind in ("", "log", "linear") and "," not in rest


def parse(text: str, total: int, name: str = "beats") -> list[int]:
    """Beats from text: `150` (that many, log-spaced), `linear:100`, `every:500`, or a list `0,10,100`.

    name: what a person calls them. Raises RecipeError if the text is none of these.
    """
    kind, _, rest = text.strip().rpartition(":")
    try:
        if kind == "linear":
            return linear(total, int(rest))
        if kind == "every":
            return every(total, int(rest))
        if kind in ("", "log"):
            numbers = [int(part) for part in rest.split(",")]
            if any(number < 0 for number in numbers):
                raise ValueError(rest)
            return logarithmic(total, numbers[0]) if len(numbers) == 1 else listed(total, numbers)
    except ValueError:
        pass
    raise RecipeError(f"{name}={text!r} is unknown\nhint: 150, linear:100, every:500 or 0,10,100")


def _few(text: str, count: int) -> None:
    if count > MOST:
        raise RecipeError(
            f"beats={text} are {count:,} looks at a run, at most {MOST:,} are kept\nhint: 150, linear:100"
        )


def _growing(total: int, growth: float, count: int) -> list[int]:
    widest = max(1.0, 2.0 * total / count)
    steps, at = [0], 0.0
    while at < total:
        at += max(1.0, min(at * (growth - 1.0), widest))
        steps.append(min(total, round(at)))
    return listed(total, steps)
