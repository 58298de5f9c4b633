"""Flags made from the recipe's fields and their help texts, so that each is written once."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter

from ..recipe import Recipe, flags

__all__ = ["OPTIONS", "flag", "takes_fields"]

OPTIONS: dict[str, set[str]] = {}
"""Verb -> its options that are no fields of the recipe."""

TYPED = ("net", "seed")
"""Fields that a person may type in more forms than their type has: they are read as text."""

NAMES = {"rate": ("--rate", "--lr")}

Verb = Callable[..., int]


def flag(text: str, *names: str) -> Parameter:
    """An option with its help; names: other than that of the parameter."""
    return Parameter(name=names or None, help=text)


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
    annotation = Annotated[kind | None, Parameter(name=NAMES.get(name), help=_filled(text))]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(Recipe)


def _filled(text: str) -> str:
    """A help text with `{nets.activations}` replaced by what that module lists, read without importing it."""
    before, brace, rest = text.partition("{")
    if not brace:
        return text
    module, _, after = rest.partition("}")
    return f"{before}{', '.join(_listed(module))}{after}"


@cache
def _listed(module: str) -> list[str]:
    """The functions of a module that its `__all__` names: its variants, helpers marked `_variant` left out."""
    *folders, name = module.split(".")
    source = Path(__file__).parents[1].joinpath(*folders, f"{name}.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    listed: list[str] = []
    helpers = set()
    for node in tree.body:
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == "__all__":
                listed = list(ast.literal_eval(node.value))
            if isinstance(target, ast.Attribute) and target.attr == "_variant":
                helpers.add(ast.unparse(target.value))
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    # A registry may have variants in modules beside it, from which it imports them.
    functions |= {a.name for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names}
    return [one for one in listed if one in functions - helpers]
