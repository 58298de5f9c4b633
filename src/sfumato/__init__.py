"""A fast bench for neural networks that paint.

    import sfumato
    run = sfumato.paint("photo.jpg", net="4x300", epochs=500)
    run.image(), run.history, run.export("film.mp4")

    for tick in sfumato.train(net, data, recipe): ...

Public names are resolved when first used: `import sfumato` imports neither torch nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .api import digits, fork, paint, perform, resume
    from .data import Data
    from .errors import (
        EngineError,
        MissingExtra,
        PictureError,
        RecipeError,
        RunError,
        SfumatoError,
        TaskError,
    )
    from .learning.session import Tick
    from .nets import Net, build
    from .picture import Picture
    from .picture.metrics import psnr, ssim
    from .recipe import Recipe, read_recipe
    from .run import Run
    from .runs.watch import Until, Watch
    from .training import train
    from .views.export import load_net

    __version__: str

_HOMES = {
    "api": ("digits", "fork", "paint", "perform", "resume"),
    "data": ("Data",),
    "errors": (
        "EngineError",
        "MissingExtra",
        "PictureError",
        "RecipeError",
        "RunError",
        "SfumatoError",
        "TaskError",
    ),
    "picture.metrics": ("psnr", "ssim"),
    "nets": ("Net", "build"),
    "picture": ("Picture",),
    "recipe": ("Recipe", "read_recipe"),
    "run": ("Run",),
    "learning.session": ("Session", "Tick"),
    "runs.watch": ("Until", "Watch"),
    "training": ("train",),
    "views.export": ("load_net",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [  # noqa: RUF022  # sorted as a reader meets them
    "paint",
    "digits",
    "Run",
    "Recipe",
    "read_recipe",
    "perform",
    "resume",
    "fork",
    "Watch",
    "Until",
    "train",
    "Tick",
    "build",
    "load_net",
    "Net",
    "Data",
    "Picture",
    "psnr",
    "ssim",
    "SfumatoError",
    "RecipeError",
    "PictureError",
    "TaskError",
    "RunError",
    "EngineError",
    "MissingExtra",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
        globals()[name] = value
        return value
    if name == "__version__":
        return importlib.import_module("importlib.metadata").version(__name__)
    raise AttributeError(f"module 'sfumato' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
