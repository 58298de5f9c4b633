"""The same tuning allowance for every recipe: quasi-random trials of its rate, and of one more knob if it has one.

The trials run on pictures that are not scored. Without any of the user's there is one of dead leaves (Lee, Mumford
and Huang, International Journal of Computer Vision 41, 2001): discs that hide one another, their radii by a power
law, which share edges and scales with photographs and belong to nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..picture import Picture, from_array
from ..recipe import Recipe, pick

__all__ = ["Knob", "dead_leaves", "knobs", "trials"]

RATE_FACTOR = 8.0
"""The rate is tried from an eighth to eight times the recipe's own: 18 dB at either end in field tests."""

KNOB_FACTOR = 3.0

FREQUENCIES = ("omega", "scale", "sigma")
"""Arguments that set the finest detail a net begins with; they trade off with the rate, so both are tuned."""


@dataclass(frozen=True)
class Knob:
    """A number of a recipe: the field, the argument of its variant (empty: the field itself), its own value."""

    field: str
    argument: str
    own: float
    factor: float

    def set(self, recipe: Recipe, share: float) -> Recipe:
        """The recipe with this knob at a share in [0, 1] of its logarithmic range; three significant digits."""
        value = float(f"{self.own * self.factor ** (2 * share - 1):.3g}")
        if not self.argument:
            return recipe.replace(**{self.field: value})
        return recipe.replace(
            **{self.field: with_argument(str(getattr(recipe, self.field)), self.argument, value)}
        )

    @property
    def name(self) -> str:
        """As in a table."""
        return self.argument or self.field


def knobs(recipe: Recipe) -> list[Knob]:
    """The rate, and the frequency of the activation or else of the encoding where it has one."""
    from ..nets import activations, encodings

    found = [Knob("rate", "", recipe.rate, RATE_FACTOR)]
    for field, module in (("activation", activations), ("encoding", encodings)):
        choice = pick(module, getattr(recipe, field), field)
        for argument in FREQUENCIES:
            try:
                own = choice.argument(argument)
            except KeyError:
                continue
            return [*found, Knob(field, argument, float(own), KNOB_FACTOR)]
    return found


def with_argument(variant: str, argument: str, value: float) -> str:
    """`sine:omega=30` with another omega."""
    name, _, rest = variant.partition(":")
    parts = [p for p in rest.split(",") if p and p.partition("=")[0] != argument]
    return f"{name}:{','.join([*parts, f'{argument}={value:g}'])}"


def trials(recipe: Recipe, count: int) -> list[Recipe]:
    """The recipe itself, and `count - 1` more at scrambled Sobol points, the same points for every recipe."""
    from torch.quasirandom import SobolEngine

    listed = [recipe]
    if count > 1:
        points = SobolEngine(2, scramble=True, seed=0).draw(count - 1).tolist()  # type: ignore[no-untyped-call]
        for point in points:
            tried = recipe
            for knob, share in zip(knobs(recipe), point, strict=False):
                tried = knob.set(tried, share)
            listed.append(tried)
    return listed[:count]


def dead_leaves(height: int, width: int, seed: int = 0) -> Picture:
    """A picture of leaves, (height, width, 3), drawn at twice the size and averaged.

    Radii from 10 to 200 pixels with density r^-3, so that it looks alike at any scale; muted colours.
    """
    random = np.random.default_rng([seed, height, width])
    tall, wide = 2 * height, 2 * width
    values = np.zeros((tall, wide, 3), np.float32)
    empty = np.ones((tall, wide), bool)
    low, high = 20.0, float(min(400, max(tall, wide)))
    y, x = np.ogrid[:tall, :wide]
    for _ in range(20_000):
        share = random.random()
        radius = (low**-2 + share * (high**-2 - low**-2)) ** -0.5
        down, across = random.uniform(-radius, tall + radius), random.uniform(-radius, wide + radius)
        colour = random.beta(1.6, 1.6) + random.normal(0, 0.08, 3)
        slope = random.normal(0, 0.25, 2)
        rows = slice(max(0, int(down - radius)), max(0, int(down + radius) + 2))
        columns = slice(max(0, int(across - radius)), max(0, int(across + radius) + 2))
        up, left = (y[rows] - down) / radius, (x[:, columns] - across) / radius
        seen = (up**2 + left**2 <= 1) & empty[rows, columns]
        if not seen.any():
            continue
        shade = (up * slope[0] + left * slope[1])[..., None]
        values[rows, columns][seen] = (colour + shade)[seen]
        empty[rows, columns] &= ~seen
        if not empty.any():
            break
    values[empty] = 0.5
    small = values.reshape(height, 2, width, 2, 3).mean((1, 3))
    return from_array(np.round(np.clip(small, 0, 1) * 255) / np.float32(255), name="dead-leaves")
