"""What is held equal: seconds, epochs or parameters, as text and as changes of a recipe.

Seconds are processor seconds of one thread: on an idle machine those of the clock, on a busy one still fair.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from ..errors import RecipeError
from ..recipe import Recipe, pick

__all__ = ["Budget", "seconds_per_step", "with_parameters"]

LONGEST, MOST_EPOCHS, MOST_PARAMETERS = 30 * 86_400, 1e6, 1e9

UNITS = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}

WARM = 3
"""Steps before the clock starts: compiling, first touch of memory, page faults."""

FEWEST = 1000
"""Steps of the schedule that is probed, at least: a recipe of one step would end before the clock starts."""

CLOSE = 0.1
"""A net counts as having the wanted parameters if it is off by no more than this share."""


@dataclass(frozen=True)
class Budget:
    """Equal seconds or equal epochs for every run, or the recipes' own epochs (both 0); equal parameters, or 0."""

    seconds: float = 0.0
    epochs: float = 0.0
    parameters: int = 0

    @classmethod
    def parse(cls, text: str) -> Budget:
        """`30s`, `2m`, `1h`, `500epochs`, `300kparams`, or parameters with one of the others: `300kparams,30s`.

        Raises RecipeError for anything else.
        """
        found: dict[str, float] = {}
        for part in text.replace(" ", "").split(","):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)([kM]?)(s|m|min|h|epochs?|params?|parameters)", part)
            if not match:
                hint = "30s, 2m, 500epochs, 300kparams or 300kparams,30s"
                raise RecipeError(f"budget={text!r}: {part!r} is no budget\nhint: {hint}")
            value = float(match[1]) * {"": 1, "k": 1e3, "M": 1e6}[match[2]]
            unit = match[3]
            name = "seconds" if unit in UNITS else "epochs" if unit.startswith("epoch") else "parameters"
            value *= UNITS.get(unit, 1.0)
            most = {"seconds": LONGEST, "epochs": MOST_EPOCHS, "parameters": MOST_PARAMETERS}[name]
            if not 0 < value <= most:
                raise RecipeError(f"budget={text!r}: {name} must be greater than 0 and at most {most:g}")
            if name in found:
                raise RecipeError(f"budget={text!r} names {name} twice")
            found[name] = value
        if {"seconds", "epochs"} <= found.keys():
            raise RecipeError(f"budget={text!r}: seconds or epochs can be held equal, not both")
        parameters = round(found.get("parameters", 0))
        return cls(found.get("seconds", 0.0), found.get("epochs", 0.0), parameters)

    def __str__(self) -> str:
        parts = (
            [f"{self.seconds:g} s"] if self.seconds else [f"{self.epochs:g} epochs"] if self.epochs else []
        )
        if self.parameters:
            parts += [f"{self.parameters:,} parameters"]
        return " and ".join(parts) if self.seconds or self.epochs else f"{parts[0]}, own epochs"

    def steps(self, recipe: Recipe, cost: float) -> Recipe:
        """The recipe planned for this budget; cost: its processor seconds a step (used for equal seconds)."""
        if self.seconds:
            return recipe.replace(steps=max(1, int(self.seconds / cost)))
        return recipe.replace(epochs=self.epochs, steps=0) if self.epochs else recipe


def with_parameters(recipe: Recipe, wanted: int, inputs: int, outputs: int, aspect: float = 1.0) -> Recipe:
    """The recipe with all hidden widths scaled by one factor, so that the net has about `wanted` parameters.

    Raises RecipeError where no width comes within a tenth, as for an encoding that holds more by itself.
    """
    from .. import nets
    from ..nets import activations

    multiple = int(pick(activations, recipe.activation, "activation").fact("multiple", 1))
    encoding = nets.build(recipe, inputs, outputs, aspect=aspect).encoding
    beside = sum(p.numel() for p in encoding.parameters())

    def scaled(factor: float) -> tuple[int, ...]:
        return tuple(multiple * max(1, round(w * factor / multiple)) for w in recipe.net)

    def count(factor: float) -> int:
        return nets.parameter_count(recipe.replace(net=scaled(factor)), encoding, outputs)

    low, high = 0.0, 1.0
    while count(high) < wanted and high < 1e6:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if count(middle) <= wanted else (low, middle)
    best = min((low, high), key=lambda factor: abs(count(factor) - wanted))
    if abs(count(best) - wanted) > CLOSE * wanted:
        raise RecipeError(
            f"no width of this net gives {wanted:,} parameters; the nearest has {count(best):,}"
            + (f", {beside:,} of them outside its layers" if beside else "")
        )
    return recipe.replace(net=scaled(best))


def seconds_per_step(recipe: Recipe, source: str | None, at_least: float = 1.0) -> float:
    """Processor seconds that a training step takes in this process, measured over at least so many seconds."""
    from .. import engine, experiment

    data, net = experiment.prepare(recipe, source)
    recipe, name, _ = engine.settle(recipe)
    session = engine.engine(name).prepare(net, data, recipe, max(FEWEST, recipe.total_steps(data.samples)))
    try:
        total = session.plan.total_steps
        session.advance(WARM)
        done, used, count = 0, 0.0, 1
        while used < at_least and session.step < total:
            count = min(2 * count, total - session.step)
            started = time.process_time()
            session.advance(count)
            used, done = used + time.process_time() - started, done + count
        return max(used, 1e-9) / done
    finally:
        session.close()
