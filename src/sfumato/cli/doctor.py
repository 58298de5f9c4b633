"""What is installed and what this machine can do: `sfumato doctor`."""

from __future__ import annotations

import importlib.util
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from .. import machine

__all__ = ["facts", "has", "hint", "text"]

EXTRAS = {"video": "av", "data": "pooch", "plots": "matplotlib", "sklearn": "sklearn"}
FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "amx_bf16")


def facts() -> dict[str, Any]:
    """All of it as one JSON-ready object, version 1."""
    import torch

    from .. import engine
    from ..recipe import Recipe

    packages = {}
    for name in ("sfumato", "torch", "numpy", "pillow", "safetensors", "av", "pooch", "matplotlib"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "missing"
    engines = {}
    for name in engine.names():
        reason = engine.engine(name).why_not(Recipe())
        engines[name] = "ready" if reason is None else f"no: {reason}"
    return {
        "v": 1,
        "packages": packages,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": machine.processor(),
        "threads": machine.available_threads(),
        "cpu_flags": [flag for flag in FLAGS if flag in machine.cpu_info("flags").split()],
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "engines": engines,
        "isa": _isa(),
        "extras": {extra: importlib.util.find_spec(module) is not None for extra, module in EXTRAS.items()},
        "codecs": _codecs(),
        "data": os.environ.get("SFUMATO_DATA", ""),
    }


def text(found: dict[str, Any]) -> str:
    """The same for people."""
    rows = [
        ("sfumato", found["packages"]["sfumato"]),
        ("python", f"{found['python']} on {found['system']}"),
        ("packages", ", ".join(f"{k} {v}" for k, v in found["packages"].items() if k != "sfumato")),
        ("processor", f"{found['processor']}, {found['threads']} threads"),
        ("flags", " ".join(found["cpu_flags"]) or "none that matter here"),
        *((f"engine {name}", state.replace("\nhint: ", "; ")) for name, state in found["engines"].items()),
        ("native isa", found["isa"] or "none"),
        *(
            (f"extra {name}", "there" if there else f"missing: {hint(found, name)}")
            for name, there in found["extras"].items()
        ),
        ("codecs", ", ".join(found["codecs"])),
        ("SFUMATO_DATA", found["data"] or "not set"),
    ]
    return "\n".join(f"{name:16}  {value}" for name, value in rows)


def has(found: dict[str, Any], part: str) -> bool:
    """Whether an engine is ready or an extra is installed; unknown parts are not there."""
    return found["engines"].get(part) == "ready" or bool(found["extras"].get(part, False))


def hint(found: dict[str, Any], part: str) -> str:
    """How to get a part; what an engine says of itself comes first."""
    if part in EXTRAS:
        return f'pip install "sfumato[{part}]"'
    _, _, own = found["engines"].get(part, "").partition("\nhint: ")
    otherwise = {"cuda": "needs an NVIDIA GPU and a CUDA build of torch"}
    return own or otherwise.get(part, f"known are {', '.join([*found['engines'], *EXTRAS])}")


def _isa() -> str:
    """Instruction sets the native engine can use here, best first; empty if it is missing."""
    from ..engine import native

    return " ".join(native.usable_sets())


def _codecs() -> list[str]:
    from PIL import features

    found = [name for name in ("jpg", "webp", "avif", "libtiff") if features.check(name)]
    if importlib.util.find_spec("av"):
        import av

        found += [name for name in ("libx264", "libvpx-vp9") if name in av.codecs_available]
    return found
