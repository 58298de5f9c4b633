"""Recipes by name, and recipes from files."""

from __future__ import annotations

from pathlib import Path

from ..errors import RecipeError
from .fields import Recipe
from .variants import near

__all__ = ["NAMED", "named", "read_recipe"]

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
        raise RecipeError(f"recipe {name!r} is unknown; {near(name, list(NAMED))}")
    return NAMED[name][0]


def read_recipe(text: str) -> Recipe:
    """A named recipe, or the path of a JSON file that holds any part of the fields (`base` names a parent)."""
    path = Path(text)
    if text in NAMED or not (path.suffix == ".json" or path.exists()):
        return named(text)
    if path.is_dir():
        path = path / "recipe.json"
    try:
        return Recipe.from_json(path.read_text(encoding="utf-8"), where=str(path), base=named)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise RecipeError(f"recipe file {str(path)!r} cannot be read: {reason}") from error
