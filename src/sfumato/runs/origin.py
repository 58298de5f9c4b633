"""Where a run comes from: version, command line, source, packages, processor, arithmetic, what is watched."""

from __future__ import annotations

import functools
import math
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import machine
from ..errors import RunError
from ..recipe import Recipe, pick
from .metrics import value
from .watch import Watch

if TYPE_CHECKING:
    from torch import nn

    from ..data import Data, Stream

__all__ = ["FORMAT", "arithmetic", "checked", "describe"]

FORMAT = 1
"""Version of a run directory; a newer one is refused, an older one is read for ever."""


def describe(
    recipe: Recipe, source: str | None, data: Data | Stream, net: nn.Module, chosen: str, watch: Watch
) -> dict[str, Any]:
    """All of it as one JSON-ready object, as origin.json keeps it."""
    from ..data import Data

    absolute = str(Path(source).resolve()) if source and Path(source).exists() else source
    if recipe.task != "picture":
        absolute = data.facts.get(
            "name", source
        )  # what a task took by itself, so that resuming takes it again
    # Of samples that are made as they are needed the task says how many numbers they have.
    shape = {
        name: data.facts[name]
        for name in ("inputs", "outputs", "aspect", "size", "digest")
        if name in data.facts
    }
    if isinstance(data, Data):
        shape = {"inputs": data.inputs.shape[1], "outputs": data.targets.shape[1]}
        shape["aspect"] = float(data.facts.get("aspect", 1.0))
    return {
        "argv": sys.argv,
        "source": absolute,
        "started": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "packages": {package: _version(package) for package in ("sfumato", "torch", "numpy", "pillow")},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": machine.processor(),
        **arithmetic(recipe, chosen),
        **shape,
        "samples": data.samples,
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "watch": asdict(watch),
    }


@functools.cache
def _version(package: str) -> str:
    """3 ms each, which a process of many runs pays once; a list of runs need not wait 15 ms for the import."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def arithmetic(recipe: Recipe, chosen: str) -> dict[str, Any]:
    """What the bits of the result depend on besides the recipe: engine, threads and instruction set, and who
    multiplies by layers of which there are two versions (the fact `products`)."""
    from .. import engine
    from ..nets import layers

    by = pick(layers, recipe.layer, "layer").fact("products")
    return {
        "engine": chosen,
        "threads": recipe.threads or machine.available_threads(),
        # A task that trains by itself does it with PyTorch, as the specification does.
        "instruction_set": engine.engine(chosen if chosen in engine.names() else "eager").instruction_set(),
        **({"products": by} if by else {}),
    }


# Reading it back ---------------------------------------------------------------------------------------------


def checked(text: str, folder: Path) -> dict[str, Any]:
    """The object of an origin.json, in which every field that the package reads is of its kind; fields that it does
    not know may be anything. Raises RunError."""
    try:
        found = value(text)
    except ValueError as error:
        raise RunError(f"{folder} is damaged: origin.json: {str(error)[:80]}") from error
    if not isinstance(found, dict):
        raise RunError(f"{folder} is damaged: origin.json holds no object")
    for key, fine in FIELDS.items():
        if key in found and not fine(found[key]):
            raise RunError(f"{folder} is damaged: {key} in origin.json is {str(found[key])[:40]}")
    if found.get("format", 0) > FORMAT:
        raise RunError(
            f"{folder} has format {found['format']}, this sfumato reads up to {FORMAT}\nhint: update sfumato"
        )
    return found


def _whole(least: int, most: int) -> Callable[[Any], bool]:
    return lambda x: isinstance(x, int) and not isinstance(x, bool) and least <= x <= most


def _number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and -1e18 < x < 1e18 and math.isfinite(x)


def _text(x: Any) -> bool:
    return isinstance(x, str) and len(x) < 1 << 16


def _texts(x: Any) -> bool:
    return isinstance(x, dict) and all(map(_text, x.values()))


def _watch(x: Any) -> bool:
    kinds = {field: type(default) for field, default in asdict(Watch()).items()}
    return isinstance(x, dict) and all(
        key in kinds and (_number(found) if kinds[key] is float else type(found) is kinds[key])
        for key, found in x.items()
    )


FIELDS: dict[str, Callable[[Any], bool]] = {
    "format": _whole(0, 1 << 31),
    "argv": lambda x: isinstance(x, list) and all(map(_text, x)),
    "source": lambda x: x is None or _text(x),
    "until": lambda x: x is None or _text(x),
    "packages": _texts,
    "files": _texts,
    "inputs": _whole(1, 1 << 24),
    "outputs": _whole(1, 1 << 24),
    "aspect": lambda x: _number(x) and 0 < x < 1e6,
    "samples": _whole(1, 1 << 48),
    "size": lambda x: isinstance(x, list) and len(x) == 2 and all(map(_whole(1, 1 << 31), x)),
    "parameters": _whole(0, 1 << 62),
    "threads": _whole(0, 1 << 31),
    "first_step": _whole(0, 1 << 62),
    "polish": _whole(1, 1 << 62),
    "watch": _watch,
    "continued": lambda x: isinstance(x, list) and all(isinstance(part, dict) for part in x),
    **dict.fromkeys(
        ("started", "python", "machine", "processor", "engine", "instruction_set", "forked", "digest"), _text
    ),
}
