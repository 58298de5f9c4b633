"""What is refused before anything heavy is imported, and the parser's complaints in our words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING

from cyclopts import App, CycloptsError, MissingArgumentError, RepeatArgumentError, UnknownOptionError

from ..errors import RecipeError
from ..recipe import Recipe, check_names
from .commands import app

if TYPE_CHECKING:
    from ..runs.watch import Until, Watch

__all__ = ["asked", "plain"]

LACKS = {
    "gigapixel": {
        "--budget": "a picture in shards has no budget in seconds\nhint: --epochs N, or --until time=60s",
        "--held-out": "a picture in shards hides no pixels\nhint: sfumato paint PICTURE --held-out 0.1",
        "--alpha": "a picture in shards is learned without its opacity\nhint: sfumato paint PICTURE --alpha",
        "--max-pixels": "a picture in shards keeps its full size\nhint: sfumato paint PICTURE --max-pixels N",
    }
}
"""Options of `paint` that mean nothing to another verb, and why."""

TRAINING = ("paint", "digits", "gigapixel")
"""Verbs that take --set FIELD=VALUE."""


def asked(
    recipe: Recipe,
    frames: str | None,
    film: str | None,
    captions: bool = False,
    until: str | None = None,
    preview_ema: float = 0.0,
) -> tuple[Watch, Until | None]:
    """What is watched and the target, from their texts. Errors for them, or for a name in the recipe that no
    registry holds: a misspelt word is told at once and not after seconds of imports."""
    from ..runs.watch import Until, Watch

    check_names(recipe)
    default = Watch()
    watch = Watch(
        frames or default.frames,
        film=film or default.film,
        captions=captions,
        preview_ema=preview_ema,
    )
    watch.check()
    return watch, Until.parse(until) if until else None


def plain(error: CycloptsError) -> Exception:
    """A complaint of the parser's in our words, where its own say little."""
    if isinstance(error, (MissingArgumentError, RepeatArgumentError)):
        return error  # of a flag that there is; the tokens that it leaves unused are all of them
    more = getattr(error, "unused_tokens", None) or []
    if isinstance(error, UnknownOptionError) and error.token.keyword:
        more = [error.token.keyword]
    if not more:
        return error
    chain = tuple(getattr(error, "command_chain", None) or ())
    if not chain:
        return RecipeError(f"{more[0]!r} is no command\nhint: {_near(more[0], app, 'sfumato --help')}")
    verb = " ".join(chain)
    option = next((token for token in more if token.startswith("-")), None)
    if option is not None:
        name = option.partition("=")[0]
        if name in LACKS.get(verb, {}):
            return RecipeError(f"sfumato {verb} has no {name}: {LACKS[verb][name]}")
        return RecipeError(f"sfumato {verb} has no {name}\nhint: {_meant(option, app, chain)}")
    what = "one picture: sfumato compare takes several" if verb == "paint" else f"less: sfumato {verb} --help"
    return RecipeError(f"{' '.join(more)!r} is too much\nhint: sfumato {verb} takes {what}")


def _meant(option: str, app: App, chain: tuple[str, ...]) -> str:
    """What may have been meant by an option that a verb does not have."""
    name = option.partition("=")[0]
    field = name.lstrip("-").replace("-", "_")
    if chain[-1] in TRAINING and field in {field.name for field in fields(Recipe)}:
        return f"--set {field}=VALUE"
    if chain[-1] == "resume" and field in {field.name for field in fields(Recipe)}:
        return f"a run keeps its recipe; --fork STEP --set {field}=VALUE leaves it for another"
    if chain[-1] == "resume" and field == "budget":
        return "--epochs N goes on to N in all; --until time=60s stops after so much training"
    found = app
    for part in chain:
        found = found[part]
    known = [flag for argument in found.assemble_argument_collection() for flag in argument.names]
    return _near(name, known, f"sfumato {' '.join(chain)} --help")


def _near(name: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(name, [one for one in known if one != "--help"], n=1)
    return f"did you mean {close[0]}?" if close else otherwise
