"""The recipe that a verb runs: flag > environment > sfumato.toml > named recipe > default.

Knows nothing of how flags are declared (`cli`) or what a field means (`recipe`); imports nothing heavy.
"""

from __future__ import annotations

import difflib
import os
import sys
import tomllib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclopts import App
from cyclopts.argument import ArgumentCollection, Token

from ..errors import RecipeError
from ..recipe import Recipe, for_budget, read_recipe, value_of
from .flags import OPTIONS

__all__ = ["layered", "lower_levels", "merged", "pairs"]


def layered(verb: str, default: str, given: Mapping[str, Any], settings: Sequence[str]) -> Recipe:
    """The recipe of a verb: flag > environment SFUMATO_<VERB>_* > sfumato.toml > named recipe > default.

    A recipe that a level names ranks just below that level's own fields, so that a recipe named by a flag does
    not lose to a stray file.
    """
    flags = {key: value for key, value in given.items() if value is not None} | pairs(settings)
    task = "picture" if verb == "paint" else verb
    chosen = read_recipe(default, task)
    said: set[str] = set()
    for level in (from_file(verb), from_environment(verb), flags):
        fields = {key: value for key, value in level.items() if key not in OPTIONS[verb]}
        name = fields.pop("recipe", None)
        if name is not None:
            chosen = read_recipe(str(name), task)
        if fields.get("seed") == "random":
            fields["seed"] = int.from_bytes(os.urandom(4), "little")
            print(f"seed {fields['seed']}", file=sys.stderr)
        chosen = chosen.replace(**merged(chosen, fields))
        said |= fields.keys()
    return for_budget(chosen, said)


def merged(recipe: Recipe, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields in which `options.x` stands for one option, as fields of the recipe: its other options stay.

    Raises RecipeError for a dot elsewhere.
    """
    plain = {k: v for k, v in fields.items() if "." not in k}
    dotted = {k: v for k, v in fields.items() if "." in k}
    for key in dotted:
        if not key.startswith("options."):
            raise RecipeError(f"recipe field {key!r} is unknown\nhint: a task's own settings are options.x")
    if dotted:
        before = plain.get("options", recipe.options)
        plain["options"] = dict(before) | {k.partition(".")[2]: v for k, v in dotted.items()}
    return plain


def lower_levels(
    verbs: Collection[str], app: App, commands: tuple[str, ...], arguments: ArgumentCollection
) -> None:
    """Options that are no fields of the recipe, from the environment and then from sfumato.toml, where the command
    line does not give them; cyclopts calls it before it binds. Fields wait for `layered`, which knows their levels.

    Raises RecipeError for a name in the file that the verb does not take, and for one that is no table of a verb.
    """
    verb = commands[0] if commands else ""
    path, tables = _nearest()
    for name in tables:
        if name not in verbs:
            close = difflib.get_close_matches(name, verbs, n=1)
            hint = f"did you mean [{close[0]}]?" if close else f"one table a verb: [{'], ['.join(verbs)}]"
            raise RecipeError(f"{path}: {name!r} is no table of a verb\nhint: {hint}")
    named = {name: argument for argument in arguments for name in argument.names}
    for where, level in (("environment", from_environment(verb)), ("sfumato.toml", from_file(verb))):
        for key, value in level.items():
            argument = named.get(f"--{key.replace('_', '-')}")
            if verb in OPTIONS and (argument is None or key not in OPTIONS[verb]):
                continue
            if argument is None:
                if where == "sfumato.toml":
                    raise RecipeError(
                        f"sfumato.toml: [{verb}] has no option {key!r}\nhint: sfumato {verb} --help"
                    )
            elif not argument.tokens:
                text = str(value).lower() if isinstance(value, bool) else str(value)
                argument.append(Token(keyword=key, value=text, source=where))


def from_environment(verb: str) -> dict[str, str]:
    """SFUMATO_<VERB>_<OPTION>, by option."""
    prefix = f"SFUMATO_{verb.upper()}_"
    return {k[len(prefix) :].lower(): v for k, v in os.environ.items() if k.startswith(prefix)}


def pairs(settings: Sequence[str]) -> dict[str, Any]:
    """`["clip=1", "options.alpha=true"]` as a mapping; numbers and true/false become values for options."""
    result: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals:
            raise RecipeError(f"--set {text!r}: expected field=value, e.g. --set clip=1")
        result[key.strip().replace("-", "_")] = value_of(value) if key.startswith("options.") else value
    return result


def from_file(verb: str) -> dict[str, Any]:
    """The table [verb] of the nearest sfumato.toml."""
    path, tables = _nearest()
    table = tables.get(verb, {})
    if not isinstance(table, dict):
        raise RecipeError(f"{path}: [{verb}] must be a table")
    return {key.replace("-", "_"): value for key, value in table.items()}


def _nearest() -> tuple[Path, dict[str, Any]]:
    """The nearest sfumato.toml from the working directory upwards, and what it holds; nothing if there is none."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        path = folder / "sfumato.toml"
        if path.is_file():
            try:
                return path, tomllib.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise RecipeError(f"{path} cannot be read: {error}") from error
    return Path(), {}
