"""What the registries hold, read from their sources: a misspelt name is told before PyTorch is imported.

A registry is a module, whose `__all__` names its variants, or a folder, whose files are its members.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from ..errors import EngineError, TaskError
from .fields import Recipe, held_out_pattern
from .variants import pick, read_variant

__all__ = ["check_names", "members", "of_fields", "signatures", "unknown_engine", "unknown_task"]

PACKAGE = Path(__file__).parents[1]


def check_names(recipe: Recipe) -> None:
    """Refuse what a recipe names and no registry holds, with the nearest name.

    Nothing is imported; of a module that is imported already, its own word counts. Whether the value of an argument
    can be meant is known when the variant is called. Raises RecipeError for a variant, one of its arguments, or a
    value of another type; EngineError; TaskError.
    """
    for field, module in of_fields().items():
        text = getattr(recipe, field)
        if not isinstance(text, str):  # a function, which is taken as it is
            continue
        text = held_out_pattern(text) if field == "held_out" else text
        if imported := sys.modules.get(f"sfumato.{module}"):  # and somebody may have added to it
            pick(imported, text, field)
        else:
            read_variant(text, field, signatures(module), signatures(module).__getitem__)
    if recipe.engine not in ("auto", *members("engine")):
        raise unknown_engine(recipe.engine)
    if recipe.task not in members("tasks"):
        raise unknown_task(recipe.task)


def of_fields() -> dict[str, str]:
    """The fields of a recipe that name a variant, and the module of each: `activation` -> `nets.activations`."""
    return {f.name: f.metadata["registry"] for f in fields(Recipe) if f.metadata.get("registry")}


@cache
def members(folder: str) -> tuple[str, ...]:
    """The files of a folder of the package that is a registry, sorted; its helpers begin with `_`."""
    found = (module.name for module in pkgutil.iter_modules([str(PACKAGE / folder)]))
    return tuple(sorted(name for name in found if not name.startswith("_")))


@cache
def signatures(module: str) -> Mapping[str, Mapping[str, Any]]:
    """The variants of a module, in the order of its `__all__`, as `variants.public` finds them; of each the keyword
    arguments with their defaults, as `variants.arguments` finds them."""
    listed: list[str] = []
    helpers = set()
    for node in _tree(module).body:
        match node:
            case ast.Assign([ast.Name("__all__")], more) | ast.AugAssign(
                ast.Name("__all__"), ast.Add(), more
            ):
                listed += ast.literal_eval(more)
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("__all__"), "append"), [one])):
                listed.append(ast.literal_eval(one))
            case ast.Assign([ast.Attribute(helper, "_variant")]):
                helpers.add(ast.unparse(helper))
    functions = _functions(module)
    return {name: _arguments(functions[name]) for name in listed if name in functions.keys() - helpers}


def _functions(module: str) -> dict[str, ast.FunctionDef]:
    """The functions at the top of a module, those included that it imports from modules beside it."""
    found: dict[str, ast.FunctionDef] = {}
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            beside = _functions(f"{module.rpartition('.')[0]}.{node.module}")
            found |= {a.asname or a.name: beside[a.name] for a in node.names if a.name in beside}
    return found


def _arguments(function: ast.FunctionDef) -> dict[str, Any]:
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    return {argument.arg: _value(default) for argument, default in pairs}


def _value(default: ast.expr | None) -> Any:
    try:
        return ast.literal_eval(default) if default else inspect.Parameter.empty
    except ValueError:  # no literal: its type is known to whoever imports the module
        return inspect.Parameter.empty


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8"))


def unknown_engine(name: str) -> EngineError:
    """What to say of an engine that does not exist."""
    gpu = "\nhint: --engine cuda" if name.lower() in ("gpu", "nvidia") else ""
    known = ", ".join(["auto", *members("engine")])
    return EngineError(f"engine {name!r} is unknown; known are {known}{gpu}")


def unknown_task(name: str, added: Iterable[str] = ()) -> TaskError:
    """What to say of a task that does not exist. added: those that are no files of the package."""
    return TaskError(f"task {name!r} is unknown; known are {', '.join([*members('tasks'), *added])}")
