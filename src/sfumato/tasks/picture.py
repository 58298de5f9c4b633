"""Regression from pixel location to colour: the main job.

Inputs are pixel coordinates (x, y), targets the stored values of the picture in [0, 1]: one output for grey,
three for colour, four with `options={"alpha": true}`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from .. import picture, samples
from ..data import Data
from ..errors import PictureError, RecipeError
from ..nets import Net
from ..painting import paint
from ..picture import Picture, held_out, metrics, pixels
from ..recipe import NAMED, Recipe, held_out_pattern, pick

__all__ = ["RECIPE", "RECIPES", "draw", "load", "score"]

RECIPE = NAMED["classic"][0]
RECIPES: Mapping[str, tuple[Recipe, str]] = {}


def load(source: str | Picture | None, recipe: Recipe) -> Data:
    """The pixels of a picture file, of a picture in memory, or of the built-in Mona Lisa if `source` is None.

    Options: `alpha` (bool) learns the opacity as a fourth output, `max_pixels` (int) downscales larger
    pictures. Raises RecipeError for options of other types, PictureError for a file that is no picture,
    TaskError if every pixel is held out.
    """
    known = {"alpha", "max_pixels"}
    for name in set(recipe.options) - known:
        raise RecipeError(f"task picture has no option {name!r}; known are {', '.join(sorted(known))}")
    alpha, limit = recipe.options.get("alpha", False), recipe.options.get("max_pixels", picture.MAX_PIXELS)
    if not isinstance(alpha, bool):
        raise RecipeError(f"options.alpha={alpha!r} must be true or false")
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise RecipeError(f"options.max_pixels={limit!r} must be a whole number")
    if source is None:
        return pixel_data(picture.fit(samples.mona_lisa(), limit), recipe)
    if isinstance(source, Picture):
        target = picture.fit(source if alpha else picture.flatten(source), limit)
        if alpha and target.channels != 4:
            raise RecipeError(
                "options.alpha asks for an opacity, and this picture has none\nhint: give four channels"
            )
    else:
        target = picture.load(source, alpha=alpha, max_pixels=limit)
    size, longest = (target.width, target.height), picture.LONGEST["jpeg"]
    if max(size) > longest:
        smaller = int(math.prod(size) * (longest / max(size)) ** 2)
        raise PictureError(
            f"picture {target.name!r} of {size[0]}x{size[1]} is too long: runs keep their frames as JPEG, "
            f"which ends at {longest:,} a side\nhint: --max-pixels {smaller}"
        )
    return pixel_data(target, recipe)


def pixel_data(target: Picture, recipe: Recipe) -> Data:
    """Training and held-out pixels of a picture; facts: `picture`, `hidden` (H, W) bool, `where`, `aspect`."""
    xy = pixels.coordinates(target.height, target.width, where=recipe.coordinates)
    colours = target.values.reshape(-1, target.channels)
    choice = pick(held_out, held_out_pattern(recipe.held_out), "held_out")
    hidden = choice(
        target.height, target.width, **({} if "seed" in choice.arguments else {"seed": recipe.seed})
    )
    if choice.name != "none" and not hidden.any():
        size = f"{target.width}x{target.height}"
        raise RecipeError(
            f"held_out={recipe.held_out!r} hides no pixel of this {size} picture\nhint: a larger share, or none"
        )
    seen = ~hidden.reshape(-1)
    facts = {
        "picture": target,
        "hidden": hidden,
        "where": recipe.coordinates,
        "aspect": target.height / target.width,
    }
    return Data(
        np.ascontiguousarray(xy[seen]),
        np.ascontiguousarray(colours[seen]),
        np.ascontiguousarray(xy[~seen]),
        np.ascontiguousarray(colours[~seen]),
        facts,
    )


def draw(net: Net, data: Data) -> Picture:
    """The painting at the picture's own size, carrying the picture's colour profile."""
    target: Picture = data.facts["picture"]
    return paint(net, target.height, target.width, where=data.facts["where"], icc=target.icc)


def score(net: Net, data: Data, drawn: Picture) -> dict[str, float]:
    """PSNR in dB of all pixels and, where some are held out, of the seen and the hidden ones apart; SSIM."""
    target: Picture = data.facts["picture"]
    scores = {"psnr": metrics.psnr(target.values, drawn.values)}
    hidden = data.facts["hidden"]
    if hidden.any():
        scores["psnr_seen"] = metrics.psnr(target.values[~hidden], drawn.values[~hidden])
        scores["psnr_hidden"] = metrics.psnr(target.values[hidden], drawn.values[hidden])
    similarity = metrics.ssim(target.values, drawn.values)
    if not math.isnan(similarity):
        scores["ssim"] = similarity
    return scores
