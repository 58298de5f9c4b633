"""The recipe that a verb runs: flag > environment > sfumato.toml > named recipe > default.

Knows nothing of how flags are declared (`cli`) or what a field means (`recipe`); imports nothing heavy.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cyclopts import App
from cyclopts.argument import ArgumentCollection, Token

from ..errors import RecipeError
from ..recipe import NAMED, Recipe, read_recipe, value_of
from .flags import OPTIONS

__all__ = ["layered", "lower_levels", "pairs"]


def layered(verb: str, default: str, given: Mapping[str, Any], settings: Sequence[str]) -> Recipe:
    """The recipe of a verb: flag > environment SFUMATO_<VERB>_* > sfumato.toml > named recipe > default.

    A recipe that a level names ranks just below that level's own fields, so that a recipe named by a flag does
    not lose to a stray file.
    """
    flags = {key: value for key, value in given.items() if value is not None} | pairs(settings)
    own: Mapping[str, tuple[Recipe, str]] = {}
    if verb != "paint":
        from .. import tasks

        own = tasks.task(verb).RECIPES
    chosen = own[default][0] if default in own else NAMED[default][0]
    for level in (from_file(verb), from_environment(verb), flags):
        fields = {key: value for key, value in level.items() if key not in OPTIONS[verb]}
        name = fields.pop("recipe", None)
        if name is not None:
            chosen = own[name][0] if name in own else read_recipe(str(name))
        if fields.get("seed") == "random":
            fields["seed"] = int.from_bytes(os.urandom(4), "little")
            print(f"seed {fields['seed']}", file=sys.stderr)
        options = {k: v for k, v in fields.items() if "." in k}
        plain = {k: v for k, v in fields.items() if "." not in k}
        chosen = chosen.replace(**plain)
        if options:
            merged = dict(chosen.options) | {k.partition(".")[2]: v for k, v in options.items()}
            chosen = chosen.replace(options=merged)
    if "epochs" in flags and "steps" not in flags:
        chosen = chosen.replace(steps=0)
    return chosen


def lower_levels(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Options that are no fields of the recipe, from the environment and then from sfumato.toml, where the command
    line does not give them; cyclopts calls it before it binds. Fields wait for `layered`, which knows their levels.

    Raises RecipeError for a name in the file that the verb does not take.
    """
    verb = commands[0] if commands else ""
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
    """The table [verb] of the nearest sfumato.toml, from the working directory upwards."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        path = folder / "sfumato.toml"
        if path.is_file():
            try:
                table = tomllib.loads(path.read_text(encoding="utf-8")).get(verb, {})
            except (OSError, ValueError) as error:
                raise RecipeError(f"{path} cannot be read: {error}") from error
            if not isinstance(table, dict):
                raise RecipeError(f"{path}: [{verb}] must be a table")
            return {key.replace("-", "_"): value for key, value in table.items()}
    return {}
