"""Variants: functions of a module that a recipe names, as a person would type them: `sine:omega=30`.

The module that holds the variants is their registry: what stands in its `__all__` can be picked.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeVar

from ..errors import RecipeError

__all__ = [
    "Choice",
    "arguments",
    "facts",
    "near",
    "parse_variant",
    "pick",
    "public",
    "read_variant",
    "short",
    "value_of",
]


@dataclass(frozen=True)
class Choice:
    """A variant that was picked: a function of a module with some keyword arguments fixed. Call it."""

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *args: Any, **more: Any) -> Any:
        return self.function(*args, **self.arguments, **more)

    @property
    def settings(self) -> dict[str, Any]:
        """Every keyword argument with its value, the function's own default where none was given."""
        return arguments(self.function) | dict(self.arguments)

    def argument(self, name: str) -> Any:
        """The value of a keyword argument, as in `settings`; KeyError where there is none of that name."""
        return self.arguments[name] if name in self.arguments else self.settings[name]

    def fact(self, name: str, default: Any = None) -> Any:
        """What stands beside the function under this name, see `facts`; `default` where it does not say."""
        return getattr(self.function, name, default)

    def __str__(self) -> str:
        listed = ",".join(f"{key}={value}" for key, value in self.arguments.items())
        return f"{self.name}:{listed}" if listed else self.name


_signature = functools.lru_cache(1024)(inspect.signature)
"""Reading one takes 0.1 ms, and a recipe is asked for its variants at every painting."""

F = TypeVar("F", bound=Callable[..., Any])


def facts(**known: Any) -> Callable[[F], F]:
    """Put down beside a variant what others ask of it: `@facts(rectifier=True)`; `Choice.fact` reads it."""

    def attach(function: F) -> F:
        for name, value in known.items():
            setattr(function, name, value)
        return function

    return attach


def public(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The variants of a module: the functions of its `__all__`, by name (classes and helpers marked
    `_variant = False` excepted)."""
    found = ((name, getattr(module, name)) for name in getattr(module, "__all__", ()))
    return {n: f for n, f in found if inspect.isfunction(f) and getattr(f, "_variant", True)}


def parse_variant(text: str) -> tuple[str, dict[str, Any]]:
    """Split `sine:omega=30` into ("sine", {"omega": 30}); numbers and True/False become values."""
    name, _, rest = text.strip().partition(":")
    arguments: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key.strip().isidentifier():
            raise RecipeError(f"{text!r}: expected name=value after the colon, got {part!r}")
        arguments[key.strip()] = value_of(value.strip())
    return name, arguments


def pick(module: ModuleType, choice: str | Callable[..., Any], what: str = "") -> Choice:
    """The variant of `module` that `choice` names, its arguments checked against the signature.

    choice: text such as `fourier:bands=128,sigma=10`, or a callable, which is taken as it is.
    what: the recipe's field, for messages. Raises RecipeError as `read_variant` does.
    """
    if callable(choice):
        return Choice(getattr(choice, "__name__", "callable"), choice)
    variants = public(module)
    what = what or module.__name__.rpartition(".")[2].rstrip("s")
    name, given = read_variant(choice, what, variants, lambda name: arguments(variants[name]))
    return Choice(name, variants[name], given)


def arguments(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword arguments of a variant with their defaults; `inspect.Parameter.empty` where there is none."""
    try:
        read = _signature if inspect.isfunction(function) else inspect.signature
        every = read(function).parameters.values()
    except ValueError:  # a function of C says nothing of its arguments
        return {}
    return {p.name: p.default for p in every if p.kind is p.KEYWORD_ONLY}


def read_variant(
    text: str, what: str, names: Collection[str], allowed: Callable[[str], Mapping[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """Name and arguments of a variant as a person typed it, checked against what there is.

    what: the recipe's field, for messages. names: of all variants. allowed: from a name to its `arguments`. Raises
    RecipeError for an unknown name (with near misses), an unknown argument, or an argument whose type differs from
    its default's.
    """
    name, given = parse_variant(text)
    name = name.replace("-", "_")  # as flags are written
    if name not in names:
        raise RecipeError(f"{what}={text!r} is unknown; {near(name, list(names))}")
    takes = allowed(name)
    for key, value in given.items():
        if key not in takes:
            raise RecipeError(f"{what}={text!r}: {name} has no {key!r}; {near(key, list(takes))}")
        default = takes[key]
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            given[key] = float(value)
        elif default is not inspect.Parameter.empty and type(value) is not type(default):
            raise RecipeError(f"{what}={text!r}: {key} must be {type(default).__name__}, got {value!r}")
    return name, given


def value_of(text: str) -> Any:
    """What a person means by a word: True or False, a whole number, a number, or the word itself."""
    if text in ("True", "true"):
        return True
    if text in ("False", "false"):
        return False
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def short(value: Any) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:60] + "..."


def near(name: str, known: list[str]) -> str:
    """The nearest known name to a misspelt one, as a question; else the list of the known ones. One that is a word
    of it comes first: learning_rate means rate, although its letters are nearer to coordinates."""
    within = sorted((one for one in known if one in name.split("_")), key=len)[-1:]
    close = within or difflib.get_close_matches(name, known, n=1, cutoff=0.55)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known are " + ", ".join(sorted(known)) if known else "it takes no arguments"
