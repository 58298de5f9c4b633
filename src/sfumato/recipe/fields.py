"""The recipe: one flat frozen dataclass of everything that decides the weights, its checks and its text forms.

Nothing runs here, and nothing heavy is imported: a recipe can be parsed, checked, compared and printed in
milliseconds.
"""

from __future__ import annotations

import dataclasses
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import islice
from numbers import Real
from typing import Any, SupportsIndex, get_type_hints

from ..errors import RecipeError
from .variants import near, short

__all__ = [
    "PRECISIONS",
    "Recipe",
    "coerce",
    "difference",
    "flags",
    "held_out_pattern",
    "net_text",
    "parse_cuts",
    "parse_net",
    "steps_per_epoch",
]

MOST_LAYERS = 1000

PRECISIONS = ("float32", "bfloat16", "bfloat16-all", "auto", "auto-all")
"""Coordinates do not fit into bfloat16's 8 bits, so the first layer is left out unless `-all` is said: the pixels
of a digit do fit, and there the first layer is nearly all of the work. `auto` and `auto-all` are bfloat16 where the
processor multiplies it faster than float32, see `engine.settle`."""

FORMAT = 1
"""Version of the JSON form; a newer one is refused, an older one is read for ever."""


ALL = ("paint", "digits", "gigapixel")
"""The verbs that train."""


def _said(default: Any, help_text: str, *verbs: str, registry: str = "") -> Any:
    """A field with its default, its help text, and the verbs that have a flag for it; the rest goes by --set.

    registry: the module of this package that holds its variants, where it names one.
    """
    return field(default=default, metadata={"help": help_text, "verbs": verbs, "registry": registry})


def flags(verb: str) -> dict[str, str]:
    """The fields that have a flag of their own in a verb, with their help texts."""
    return {f.name: f.metadata["help"] for f in fields(Recipe) if verb in f.metadata.get("verbs", ())}


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights, and nothing else; a field carries its help text."""

    task: str = _said("picture", "what is learned: a file of sfumato.tasks")
    net: tuple[int, ...] = _said((300, 300, 300, 300), "hidden layers: 4x300, 6000 or 300,300,64", *ALL)
    activation: str = _said(
        "relu", "of the hidden layers: {}; sine:omega=30", *ALL, registry="nets.activations"
    )
    encoding: str = _said(
        "none",
        "of the inputs: {}; fourier:bands=128,sigma=10",
        *("paint", "gigapixel"),
        registry="nets.encodings",
    )
    layer: str = _said(
        "dense",
        "linear map of the hidden layers: {}; low_rank:rank=8",
        "paint",
        "gigapixel",
        registry="nets.layers",
    )
    skip: bool = _said(False, "also a linear map from the encoded inputs straight to the outputs")
    residual: int = _said(
        0,
        "what enters every so many hidden layers is added to their last one's sums; 2: He et al. 2016; 0: never",
    )
    init: str = _said(
        "published",
        "the activation's own start, published:gain=0.5, or gaussian:scale=0.3",
        registry="nets.net_initializers",
    )
    coordinates: str = _said("centres", "where a pixel sits in [0,1]: centres, or corners (the 2012 program)")
    loss: str = _said("mse", "{}; cross_entropy:smoothing=0.1", registry="learning.losses")
    optimizer: str = _said("adam", "{}; sgd:momentum=0.9", *ALL, registry="learning.optimizers")
    backward: str = _said(
        "backprop", "how errors go back through linear maps: {}", *ALL, registry="learning.feedback"
    )
    rate: float = _said(0.002, "learning rate at the top of the schedule", *ALL)
    schedule: str = _said(
        "cosine",
        "{}; hold:share_held=0.6,floor=0.02; planned for the whole budget",
        registry="learning.schedules",
    )
    warmup: float = _said(0.0, "share of the budget over which the rate rises linearly from 0")
    clip: float = _said(0.0, "largest global norm of the gradient; 0 = no limit")
    dropout: tuple[float, ...] = _said((), "shares of inputs and of hidden units dropped: 0.2,0.5")
    wake: int = _said(
        0, "every so many steps, rectified units silent on the whole minibatch are woken; 0 = never"
    )
    sampling: str = _said(
        "uniform",
        "which samples a step sees: {}; error:mix=0.2,power=0.5",
        registry="learning.sampling",
    )
    batch: int = _said(512, "samples a step; the last batch of an epoch may be shorter", *ALL)
    epochs: float = _said(500.0, "the budget in passes over the data", *ALL)
    steps: int = _said(0, "the budget in steps, if not 0; wins over epochs")
    cuts: str = _said("", "where a run on a time budget was planned anew: at:total steps, comma-separated")
    seed: int = _said(0, "of everything random; `random` draws one and prints it", *ALL)
    held_out: str = _said(
        "none",
        "pixels never trained on: 0.1, {}; blocks:share=0.1,size=16",
        "paint",
        registry="picture.held_out",
    )
    precision: str = _said(
        "float32", "of operands: float32, bfloat16 (first layer float32), bfloat16-all, auto"
    )
    engine: str = _said("auto", "auto, native, eager, cuda or regrouped", *ALL)
    threads: int = _said(0, "0 = all that this process may use")
    options: Mapping[str, Any] = field(default_factory=dict, metadata={"help": "the task's own settings"})

    def __post_init__(self) -> None:
        for name in ("net", "dropout", "options"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        check(self)

    def replace(self, **changes: Any) -> Recipe:
        """A copy with some fields changed; raises RecipeError for an unknown field or a bad value.

        A budget in epochs takes the place of one in steps, unless both are given; a new budget is one without cuts.
        """
        if "epochs" in changes:
            changes = {"steps": 0} | changes
        if changes.keys() & {"epochs", "steps"}:
            changes = {"cuts": ""} | changes
        return dataclasses.replace(self, **coerce(changes))

    def total_steps(self, samples: int) -> int:
        """Steps of the whole budget for `samples` training samples, after its `cuts`; at least 1."""
        cuts = parse_cuts(self.cuts)
        return cuts[-1][1] if cuts else self.planned_steps(samples)

    def planned_steps(self, samples: int) -> int:
        """Steps as they were planned when the run began, before any cut."""
        if self.steps:
            return self.steps
        return max(1, round(self.epochs * steps_per_epoch(samples, self.batch)))

    def to_json(self) -> str:
        """All fields, defaults expanded, readable and stable. Raises RecipeError for what JSON cannot hold."""
        body = {"format": FORMAT} | {f.name: getattr(self, f.name) for f in fields(self)}
        for name, value in body.items():
            if callable(value):
                raise RecipeError(
                    f"{name} is a Python function, which recipe.json cannot hold\n"
                    "hint: sfumato.train trains with it and keeps no run; a variant's name is kept"
                )
        try:
            return json.dumps(body, indent=2, allow_nan=False) + "\n"
        except (TypeError, ValueError) as error:
            raise RecipeError(f"a recipe's options must be JSON values: {error}") from error

    @classmethod
    def from_json(
        cls, text: str, where: str = "recipe", *, base: Callable[[str], Recipe] | None = None
    ) -> Recipe:
        """The recipe written by `to_json`, or by hand with any part of the fields.

        base: finds the recipe that the field `base` names, from which the others depart; without it there is no
        such field.

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
        start = base(str(body.pop("base"))) if base and "base" in body else cls()
        recipe = start.replace(**body)
        recipe.to_json()  # NaN or infinity (1e999) among the options could not be written again
        return recipe


class Options(dict[str, Any]):
    """A mapping that nobody changes: what a frozen recipe holds."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "a recipe's options cannot be changed; recipe.replace(options=...) makes another recipe"
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return (Options, (dict(self),))


def frozen(value: Any) -> Any:
    """Lists as tuples and mappings as `Options`, at every depth."""
    if isinstance(value, Mapping):
        return Options((key, frozen(part)) for key, part in value.items())
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def steps_per_epoch(samples: int, batch: int) -> int:
    """Minibatches that see each of `samples` exactly once, the last short one included."""
    return -(-samples // min(batch, samples))


def parse_net(text: str | int | Iterable[int]) -> tuple[int, ...]:
    """Widths of the hidden layers: `4x300` is four of 300, `300,300,64` are three, `6000` is one; whole numbers
    of any kind stand for themselves."""
    widths: list[int] = []
    if not isinstance(text, str):
        widths = _whole(text)
    else:
        for part in text.replace(" ", "").split(","):
            # At most ten digits a number: Python refuses to read thousands of them, memory to repeat so often.
            match = re.fullmatch(r"(?:(\d{1,10})x)?(\d{1,10})", part)
            if not match:
                raise _no_layer(text, part)
            widths += [int(match[2])] * min(int(match[1] or 1), MOST_LAYERS + 1)
    if not widths or min(widths) < 1:
        raise RecipeError(f"net={short(text)} needs at least one hidden layer of at least one unit")
    if len(widths) > MOST_LAYERS or max(widths) > 1_000_000:
        raise RecipeError(f"net={short(text)} is too large: at most {MOST_LAYERS} layers of 1,000,000 units")
    return tuple(widths)


def _whole(given: Any) -> list[int]:
    """Widths that are no text: NumPy's whole numbers and arrays of them too, no more of them than tell too many."""
    if isinstance(given, (bytes, Mapping, Set)) or not isinstance(given, (SupportsIndex, Iterable)):
        raise _no_layer(given, given)
    row: list[Any] = [given] if not isinstance(given, Iterable) else list(islice(given, MOST_LAYERS + 1))
    widths = []
    for width in row:
        if isinstance(width, bool):
            raise _no_layer(given, width)
        try:
            widths.append(operator.index(width))
        except TypeError as error:
            raise _no_layer(given, width) from error
    return widths


def _no_layer(net: object, part: object) -> RecipeError:
    hint = "hint: 4x300, 6000 or 300,300,64"
    return RecipeError(f"net={short(net)}: {short(part)} is no layer\n{hint}")


def held_out_pattern(text: str) -> str:
    """The variant that `held_out` names; a share alone, such as 0.1, stands for that share of random pixels."""
    return f"random:share={float(text)}" if text.replace(".", "", 1).isdigit() else text


def net_text(widths: tuple[int, ...]) -> str:
    """The short form of `parse_net`: `4x300`, or `300,300,64` where widths differ."""
    if len(set(widths)) == 1:
        return f"{len(widths)}x{widths[0]}"
    return ",".join(map(str, widths))


# Checking ----------------------------------------------------------------------------------------------------


def parse_cuts(text: str) -> tuple[tuple[int, int], ...]:
    """`1200:1500,1300:1400` as ((1200, 1500), (1300, 1400)): from step 1200 on, 1500 in all, and so on.

    Raises RecipeError for another form, or a cut that lies before the one before it or behind its own end.
    """
    cuts: list[tuple[int, int]] = []
    for part in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d{1,12}):(\d{1,12})", part)
        at, total = (int(match[1]), int(match[2])) if match else (0, 0)
        before = cuts[-1][0] if cuts else 0
        if not match or not before <= at < total:
            raise RecipeError(f"cuts={short(text)}: {short(part)} is no cut\nhint: at:total, e.g. 1200:1500")
        cuts.append((at, total))
    return tuple(cuts)


def coerce(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Values as typed on a command line or read from JSON, turned into the fields' types.

    Raises RecipeError for an unknown field or a value that cannot be read as the field's type.
    """
    kinds = _kinds()
    result: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in kinds:
            raise RecipeError(f"recipe field {key!r} is unknown; {near(key, list(kinds))}")
        try:
            result[key] = _as(kinds[key], key, value)
        except (TypeError, ValueError, KeyError, OverflowError) as error:
            kind = getattr(kinds[key], "__name__", str(kinds[key]))
            hint = "\nhint: a whole number, or random on the command line" if key == "seed" else ""
            raise RecipeError(f"{key}={short(value)} is not a valid {kind}{hint}") from error
    return result


@cache
def _kinds() -> dict[str, Any]:
    """The types of the fields: found once, as ten thousand recipes may be read."""
    return get_type_hints(Recipe)


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
        ("residual", 0 <= recipe.residual <= MOST_LAYERS, "0 (never) or a number of layers"),
        ("threads", 0 <= recipe.threads <= 4096, "0 (all) to 4096"),
        ("coordinates", recipe.coordinates in ("centres", "corners"), "centres or corners"),
        ("precision", recipe.precision in PRECISIONS, " or ".join(PRECISIONS)),
        (
            "dropout",
            len(recipe.dropout) in (0, 2) and all(0 <= d < 1 for d in recipe.dropout),
            "empty, or two shares in [0, 1): inputs,hidden",
        ),
    ]
    parse_cuts(recipe.cuts)
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
        if isinstance(value, bool) or (not isinstance(value, str) and value != int(value)):
            raise ValueError(value)
        return int(value)
    if kind is float:
        if isinstance(value, bool):
            raise ValueError(value)
        return float(value)
    if not isinstance(value, str):
        if key in ("activation", "encoding") and callable(value):
            return value
        if key == "held_out" and isinstance(value, Real) and not isinstance(value, bool):
            return str(value)  # float() would write out the error of a NumPy float32
        raise TypeError(value)
    return value


def difference(a: Recipe, b: Recipe) -> dict[str, tuple[Any, Any]]:
    """The fields in which two recipes differ: name -> (value in `a`, value in `b`)."""
    pairs = {f.name: (getattr(a, f.name), getattr(b, f.name)) for f in fields(Recipe)}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
