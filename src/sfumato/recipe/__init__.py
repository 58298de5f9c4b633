"""What is asked for: the recipe, variants by name, named recipes, and the beats at which a run is looked at.

Nothing runs here, and nothing heavy is imported.
"""

from __future__ import annotations

from .fields import (
    PRECISIONS,
    Recipe,
    difference,
    flags,
    held_out_pattern,
    net_text,
    parse_net,
    steps_per_epoch,
)
from .named import NAMED, NAMED_FOR, for_budget, named, of_task, read_recipe
from .registries import check_names
from .variants import Choice, parse_variant, pick, public, value_of

__all__ = [
    "NAMED",
    "NAMED_FOR",
    "PRECISIONS",
    "Choice",
    "Recipe",
    "check_names",
    "difference",
    "flags",
    "for_budget",
    "held_out_pattern",
    "named",
    "net_text",
    "of_task",
    "parse_net",
    "parse_variant",
    "pick",
    "public",
    "read_recipe",
    "steps_per_epoch",
    "value_of",
]
