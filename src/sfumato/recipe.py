"""What is to be learned and how: one flat frozen dataclass, its text forms, and `pick`.

Nothing runs here, and nothing heavy is imported: a recipe can be parsed, checked, compared and printed in
milliseconds. Variants are strings as a person would type them, such as `sine:omega=30`; the module that holds
the variant is its registry (`pick`).
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

from .errors import RecipeError

__all__ = [
    "NAMED",
    "Choice",
    "Recipe",
    "difference",
    "named",
    "net_text",
    "parse_net",
    "parse_variant",
    "pick",
    "public",
    "read_recipe",
    "value_of",
]

MOST_LAYERS = 1000

PRECISIONS = ("float32", "bfloat16", "bfloat16-all", "auto")
"""Coordinates do not fit into bfloat16's 8 bits, so the first layer is left out unless `-all` is said: the pixels
of a digit do fit, and there the first layer is nearly all of the work."""

FORMAT = 1
"""Version of the JSON form; a newer one is refused, an older one is read for ever."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, and nothing else; a field's comment is its help text."""

    task: str = "picture"  # what is learned: a file of sfumato.tasks
    net: tuple[int, ...] = (300, 300, 300, 300)  # width of each hidden layer: 4x300 or 300,300,64
    activation: str = "relu"  # of the hidden layers, e.g. relu, sine:omega=30
    encoding: str = "none"  # of the inputs, e.g. fourier:bands=128,sigma=10
    skip: bool = False  # also a linear map from the encoded inputs straight to the outputs
    init: str = "published"  # the activation's own start, published:gain=0.5, or gaussian:scale=0.3
    coordinates: str = "centres"  # where a pixel sits in [0,1]: centres, or corners (the 2012 program)
    loss: str = "mse"  # mse or l1; a task may offer more
    optimizer: str = "adam"  # adam, sgd:momentum=0.9, muon
    rate: float = 0.002  # learning rate at the top of the schedule
    schedule: str = "cosine"  # constant, cosine, hold:share_held=0.6,floor=0.02; planned for the whole budget
    warmup: float = 0.0  # share of the budget over which the rate rises linearly from 0
    clip: float = 0.0  # largest global norm of the gradient; 0 = no limit
    dropout: tuple[float, ...] = ()  # shares of inputs and of hidden units dropped: 0.2,0.5
    wake: int = 0  # every so many steps, rectified units silent on the whole minibatch are woken; 0 = never
    batch: int = 512  # samples a step; the last batch of an epoch may be shorter
    epochs: float = 500.0  # the budget in passes over the data
    steps: int = 0  # the budget in steps, if not 0; wins over epochs
    seed: int = 0  # of initial weights, order, dropout, held-out choice
    held_out: str = "none"  # pixels never trained on: 0.1, blocks:..., checker
    precision: str = "float32"  # of operands: float32, bfloat16 (first layer float32), bfloat16-all, auto
    engine: str = "auto"  # auto, eager, native, cuda
    threads: int = 0  # 0 = all that this process may use
    options: Mapping[str, Any] = field(default_factory=dict)  # the task's own settings

    def __post_init__(self) -> None:
        check(self)

    def replace(self, **changes: Any) -> Recipe:
        """A copy with some fields changed; raises RecipeError for an unknown field or a bad value."""
        return dataclasses.replace(self, **coerce(changes))

    def total_steps(self, samples: int) -> int:
        """Steps of the whole budget for `samples` training samples; at least 1."""
        if self.steps:
            return self.steps
        return max(1, round(self.epochs * steps_per_epoch(samples, self.batch)))

    def to_json(self) -> str:
        """All fields, defaults expanded, readable and stable."""
        body = {"format": FORMAT} | dataclasses.asdict(self)
        body["options"] = dict(self.options)
        return json.dumps(body, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "recipe") -> Recipe:
        """The recipe written by `to_json`, or by hand with any part of the fields.

        Raises RecipeError on malformed JSON, an unknown field, or a format newer than this version reads.
        """
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:  # malformed, thousands of digits, thousands of brackets
            raise RecipeError(f"{where} is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise RecipeError(f"{where} must be a JSON object of recipe fields")
        version = body.pop("format", FORMAT)
        if not isinstance(version, int) or version > FORMAT:
            raise RecipeError(
                f"{where} has format {version!r}, this sfumato reads up to {FORMAT}\nhint: update sfumato"
            )
        base = named(str(body.pop("base"))) if "base" in body else cls()
        return base.replace(**body)


def steps_per_epoch(samples: int, batch: int) -> int:
    """Minibatches that see each of `samples` exactly once, the last short one included."""
    return -(-samples // min(batch, samples))


# Variants ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Choice:
    """A variant that was picked: a function of a module with some keyword arguments fixed. Call it."""

    name: str
    function: Callable[..., Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __call__(self, *args: Any, **more: Any) -> Any:
        return self.function(*args, **self.arguments, **more)

    def argument(self, name: str) -> Any:
        """The value of a keyword argument, the function's own default included."""
        if name in self.arguments:
            return self.arguments[name]
        return inspect.signature(self.function).parameters[name].default

    def __str__(self) -> str:
        listed = ",".join(f"{key}={value}" for key, value in self.arguments.items())
        return f"{self.name}:{listed}" if listed else self.name


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
    what: the recipe's field, for messages. Raises RecipeError for an unknown name (with near misses), an
    unknown argument, or an argument whose type differs from its default's.
    """
    if callable(choice):
        return Choice(getattr(choice, "__name__", "callable"), choice)
    what = what or module.__name__.rpartition(".")[2].rstrip("s")
    name, arguments = parse_variant(choice)
    variants = public(module)
    if name not in variants:
        raise RecipeError(f"{what}={choice!r} is unknown; {_near(name, list(variants))}")
    function = variants[name]
    allowed = {p.name: p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY}
    for key, value in arguments.items():
        if key not in allowed:
            raise RecipeError(f"{what}={choice!r}: {name} has no {key!r}; {_near(key, list(allowed))}")
        default = allowed[key].default
        if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
            arguments[key] = float(value)
        elif default is not inspect.Parameter.empty and type(value) is not type(default):
            raise RecipeError(f"{what}={choice!r}: {key} must be {type(default).__name__}, got {value!r}")
    return Choice(name, function, arguments)


def parse_net(text: str | int | tuple[int, ...] | list[int]) -> tuple[int, ...]:
    """Widths of the hidden layers: `4x300` is four of 300, `300,300,64` are three, `6000` is one."""
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str):
        widths = tuple(text) if isinstance(text, (tuple, list)) else ()
    else:
        widths_list: list[int] = []
        for part in text.replace(" ", "").split(","):
            # At most ten digits a number: Python refuses to read thousands of them, memory to repeat so often.
            match = re.fullmatch(r"(?:(\d{1,10})x)?(\d{1,10})", part)
            if not match:
                raise RecipeError(
                    f"net={_short(text)}: {_short(part)} is no layer\nhint: 4x300, 6000 or 300,300,64"
                )
            widths_list += [int(match[2])] * min(int(match[1] or 1), MOST_LAYERS + 1)
        widths = tuple(widths_list)
    if not widths or any(not isinstance(w, int) or isinstance(w, bool) or w < 1 for w in widths):
        raise RecipeError(f"net={_short(text)} needs at least one hidden layer of at least one unit")
    if len(widths) > MOST_LAYERS or max(widths) > 1_000_000:
        raise RecipeError(f"net={_short(text)} is too large: at most {MOST_LAYERS} layers of 1,000,000 units")
    return widths


def net_text(widths: tuple[int, ...]) -> str:
    """The short form of `parse_net`: `4x300`, or `300,300,64` where widths differ."""
    if len(set(widths)) == 1:
        return f"{len(widths)}x{widths[0]}"
    return ",".join(map(str, widths))


# Checking ----------------------------------------------------------------------------------------------------


def coerce(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values as typed on a command line or read from JSON, turned into the fields' types.

    Raises RecipeError for an unknown field or a value that cannot be read as the field's type.
    """
    kinds = get_type_hints(Recipe)
    result: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in kinds:
            raise RecipeError(f"recipe field {key!r} is unknown; {_near(key, list(kinds))}")
        try:
            result[key] = _as(kinds[key], key, value)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            kind = getattr(kinds[key], "__name__", str(kinds[key]))
            raise RecipeError(f"{key}={_short(value)} is not a valid {kind}") from error
    return result


def check(recipe: Recipe) -> None:
    """Raise RecipeError for the first field whose value cannot be meant; variants are checked when picked."""
    if not recipe.net or any(not isinstance(w, int) or w < 1 for w in recipe.net):
        raise RecipeError(f"net={recipe.net!r} needs at least one hidden layer of at least one unit")
    limits: list[tuple[str, bool, str]] = [
        ("rate", 0 < recipe.rate < 1e6, "greater than 0 and less than a million"),
        ("batch", recipe.batch >= 1, "at least 1"),
        ("epochs", 0 < recipe.epochs < 1e9, "greater than 0 and less than 1e9"),
        ("steps", 0 <= recipe.steps < 1 << 40, "0 (use epochs) or more"),
        ("warmup", 0 <= recipe.warmup <= 1, "a share of the budget in [0, 1]"),
        ("clip", 0 <= recipe.clip < 1e9, "0 (no limit) or more"),
        ("wake", 0 <= recipe.wake < 1 << 40, "0 (never) or more"),
        ("seed", 0 <= recipe.seed < 1 << 63, "a whole number of at most 63 bits, not negative"),
        ("threads", 0 <= recipe.threads <= 4096, "0 (all) to 4096"),
        ("coordinates", recipe.coordinates in ("centres", "corners"), "centres or corners"),
        ("precision", recipe.precision in PRECISIONS, " or ".join(PRECISIONS)),
        (
            "dropout",
            len(recipe.dropout) in (0, 2) and all(0 <= d < 1 for d in recipe.dropout),
            "empty, or two shares in [0, 1): inputs,hidden",
        ),
    ]
    for name, fine, allowed in limits:
        if not fine:
            raise RecipeError(f"{name}={getattr(recipe, name)!r} must be {allowed}")


def _as(kind: Any, key: str, value: Any) -> Any:
    if key == "net":
        return parse_net(value)
    if key == "dropout":
        parts = value.split(",") if isinstance(value, str) else value
        return tuple(float(p) for p in parts if p != "")
    if key == "options":
        return dict(value)
    if kind is bool:
        if isinstance(value, bool):
            return value
        return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]
    if kind is int:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise ValueError(value)
        return int(value)
    if kind is float:
        if isinstance(value, bool):
            raise ValueError(value)
        return float(value)
    if not isinstance(value, str):
        if key in ("activation", "encoding") and callable(value):
            return value
        if key == "held_out" and isinstance(value, float):
            return str(value)
        raise TypeError(value)
    return value


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


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:60] + "..."


def _near(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known are " + ", ".join(sorted(known)) if known else "it takes no arguments"


# Recipes by name --------------------------------------------------------------------------------------------

_CLASSIC = Recipe(
    init="published:gain=0.5",
    optimizer="muon:beta2=0.99",
    rate=0.04,
    schedule="cosine",
    warmup=0.1,
    wake=32,
    batch=4096,
    precision="auto",
)
_2012 = Recipe(
    activation="leaky_relu:slope=0.01",
    encoding="raw",
    init="gaussian:scale=0.3",
    coordinates="corners",
    loss="half_square",
    optimizer="sgd:fan_in=True",
    rate=0.1,
    schedule="constant",
    batch=1,
)
_SINE = Recipe(
    net=(256,) * 4,
    activation="sine:omega=30",
    optimizer="adam:beta2=0.99",
    rate=5e-4,
    schedule="hold:share_held=0.6,floor=0.02",
    batch=4096,
    epochs=100.0,
)

NAMED: dict[str, tuple[Recipe, str]] = {
    "classic": (
        _CLASSIC,
        "4 hidden layers of 300 rectified linear units on raw x, y: the net of the 2012 post",
    ),
    "2012": (
        _2012,
        "the original program to the letter: a sample a step, its own rates, start and coordinates",
    ),
    "2012-code": (
        _2012.replace(net=(300,) * 6),
        "the same with the six hidden layers of its published source",
    ),
    "siren": (_SINE, "sine units, Sitzmann et al. 2020 (arXiv 2006.09661)"),
    "finer": (_SINE.replace(activation="finer:omega=30"), "variable-periodic sines, Liu et al. 2024 (CVPR)"),
    "fourier": (
        _CLASSIC.replace(encoding="fourier:bands=128,sigma=10", rate=0.02, epochs=100.0),
        "random Fourier features before the classic net, Tancik et al. 2020 (arXiv 2006.10739)",
    ),
    "sharp": (
        Recipe(
            net=(64, 64),
            encoding="grid",
            optimizer="adam:beta2=0.99,eps=1e-15",
            rate=1e-2,
            schedule="hold:share_held=0.6,floor=0.02",
            batch=8192,
            epochs=200.0,
        ),
        "a trainable multi-resolution grid and a small net, after Mueller et al. 2022 (arXiv 2201.05989)",
    ),
}
"""Named recipes: the recipe and one sentence. A task may add its own in its `RECIPES`."""


def named(name: str) -> Recipe:
    """The recipe called `name`; raises RecipeError with the nearest names if there is none."""
    if name not in NAMED:
        raise RecipeError(f"recipe {name!r} is unknown; {_near(name, list(NAMED))}")
    return NAMED[name][0]


def read_recipe(text: str) -> Recipe:
    """A named recipe, or the path of a JSON file that holds any part of the fields (`base` names a parent)."""
    path = Path(text)
    if text in NAMED or not (path.suffix == ".json" or path.exists()):
        return named(text)
    if path.is_dir():
        path = path / "recipe.json"
    try:
        return Recipe.from_json(path.read_text(encoding="utf-8"), where=str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise RecipeError(f"recipe file {str(path)!r} cannot be read: {reason}") from error


def difference(a: Recipe, b: Recipe) -> dict[str, tuple[Any, Any]]:
    """The fields in which two recipes differ: name -> (value in `a`, value in `b`)."""
    pairs = {f.name: (getattr(a, f.name), getattr(b, f.name)) for f in fields(Recipe)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
