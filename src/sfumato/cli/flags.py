"""Flags made from the recipe's fields and their help texts, so that each is written once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter

from ..recipe import Recipe, flags
from ..recipe.registries import of_fields, signatures

__all__ = ["OPTIONS", "Out", "Quiet", "flag", "takes_fields"]

OPTIONS: dict[str, set[str]] = {}
"""Verb -> its options that are no fields of the recipe."""

TYPED = ("net", "seed")
"""Fields that a person may type in more forms than their type has: they are read as text."""

NAMES = {"rate": ("--rate", "--lr")}

Verb = Callable[..., int]


def flag(text: str, *names: str) -> Parameter:
    """An option with its help; names: other than that of the parameter."""
    return Parameter(name=names or None, help=text)


Out = Annotated[str, flag("folder of run directories")]
Quiet = Annotated[bool, flag("no progress")]
"""Options that many verbs have."""


def takes_fields(verb: Verb) -> Verb:
    """Give a verb a flag for each field of the recipe that has one in it; they arrive in its `**fields`.

    They stand in the help behind `recipe`, and are None where they were not given.
    """
    hints = get_type_hints(verb, include_extras=True)
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(verb).parameters.values():
        if parameter.kind is not parameter.VAR_KEYWORD:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
        if parameter.name == "recipe":
            parameters += [_of_field(name, text) for name, text in flags(verb.__name__).items()]
    OPTIONS[verb.__name__] = {p.name for p in parameters} - set(flags(verb.__name__)) - {"recipe"}
    verb.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    verb.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": int}
    return verb


def _of_field(name: str, text: str) -> inspect.Parameter:
    kind: Any = str if name in TYPED else _kinds()[name]
    annotation = Annotated[kind | None, Parameter(name=NAMES.get(name), help=_filled(name, text))]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(Recipe)


def _filled(field: str, text: str) -> str:
    """A help text with `{}` replaced by the names of the field's variants, read without importing them."""
    return text.replace("{}", ", ".join(signatures(of_fields()[field]))) if "{}" in text else text
