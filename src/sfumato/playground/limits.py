"""How large a net may be that a page asks for: counted before anything of it is made.

Whoever runs `sfumato paint` has chosen the size; a page is given a slip of the keyboard, a link or a run from a
stranger, and must not take the machine with it.
"""

from __future__ import annotations

import math

from .. import nets
from ..errors import RecipeError
from ..learning import optimizers
from ..nets import Net
from ..recipe import Recipe, net_text, pick

__all__ = ["MOST_NUMBERS", "MOST_PARAMETERS", "MOST_VALUES", "check", "remembered"]

MOST_PARAMETERS = 50_000_000
"""Ten times the largest net of the field's papers: more is taken for a slip, before memory is asked for."""

MOST_NUMBERS = 500_000_000
"""Weights and what the optimizer remembers of them: 2 GB in float32. SOAP keeps square matrices of a layer's width,
L-BFGS up to 200 copies."""

MOST_VALUES = 500_000_000
"""Values between the layers in one step: 2 GB in float32, of which PyTorch holds about three copies. 4x300 on all
2^18 pixels of the largest upload are 315 millions."""


def check(recipe: Recipe, samples: int, aspect: float) -> None:
    """Raise RecipeError where the net, its optimizer or one step on `samples` samples is far too large for a page.

    aspect: height / width of the picture.
    """
    try:
        net = nets.sketch(recipe, 2, 3, aspect=aspect)
    except (RuntimeError, TypeError, OverflowError) as error:  # numbers that do not fit into 64 bits
        raise RecipeError(f"{_named(recipe)} cannot be made: a number in it is far too large") from error
    constants = sum(one.numel() for one in net.buffers())
    parameters = net.parameter_count + constants
    if parameters > MOST_PARAMETERS:
        raise RecipeError(
            f"{_named(recipe)} has {parameters:,} parameters, a page takes {MOST_PARAMETERS:,}\n"
            "hint: fewer or smaller layers, or a smaller encoding"
        )
    numbers = parameters + remembered(recipe, net)
    if numbers > MOST_NUMBERS:
        raise RecipeError(
            f"optimizer={recipe.optimizer} remembers {numbers:,} numbers for this net, a page takes "
            f"{MOST_NUMBERS:,}\nhint: optimizer=adam, or smaller layers"
        )
    values = min(recipe.batch, samples) * sum(net.spans)
    if values > MOST_VALUES:
        raise RecipeError(
            f"a step of batch={recipe.batch} has {values:,} values in this net, a page takes {MOST_VALUES:,}\n"
            "hint: a smaller batch, layers or encoding"
        )


def _named(recipe: Recipe) -> str:
    fields = {"encoding": recipe.encoding, "activation": recipe.activation, "layer": recipe.layer}
    return f"net={net_text(recipe.net)[:40]} with " + ", ".join(
        f"{k}={str(v)[:60]}" for k, v in fields.items()
    )


def remembered(recipe: Recipe, net: Net) -> int:
    """Numbers that the optimizer keeps from step to step."""
    chosen = pick(optimizers, recipe.optimizer, "optimizer")
    optimizers.check(chosen, net)
    memory = optimizers.memory(net, chosen(net))
    return sum(math.prod(shape) for kept in memory.values() for shape in kept.values())
