"""Where a run comes from: version, command line, source, packages, processor, threads, what is watched."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import machine
from ..data import Data, Stream
from ..recipe import Recipe
from .watch import Watch

if TYPE_CHECKING:
    from torch import nn

__all__ = ["describe"]


def describe(
    recipe: Recipe, source: str | None, data: Data | Stream, net: nn.Module, chosen: str, watch: Watch
) -> dict[str, Any]:
    """All of it as one JSON-ready object, as origin.json keeps it."""
    packages = {}
    for package in ("sfumato", "torch", "numpy", "pillow"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = "not installed"
    absolute = str(Path(source).resolve()) if source and Path(source).exists() else source
    if recipe.task != "picture":
        absolute = data.facts.get(
            "name", source
        )  # what a task took by itself, so that resuming takes it again
    shape: dict[str, Any] = {}
    if not isinstance(data, Stream):
        shape = {"inputs": data.inputs.shape[1], "outputs": data.targets.shape[1]}
        shape["aspect"] = float(data.facts.get("aspect", 1.0))
    return {
        "argv": sys.argv,
        "source": absolute,
        "started": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "packages": packages,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": machine.processor(),
        "threads": recipe.threads or machine.available_threads(),
        "engine": chosen,
        **shape,
        "samples": data.samples,
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "watch": asdict(watch),
    }
