"""What a file's name asks for: the kind of export by its suffix, known before anything heavy is imported."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import RecipeError

__all__ = ["check_options", "kind_of"]

PAINTINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
FILMS = (".mp4", ".webp", ".gif")
WEIGHTS = (".safetensors",)
PAGES = (".html", ".htm")
LATER = (".onnx", ".glsl")
KIN = {
    ".png": ".bmp .ppm .pgm .pnm .ico .avif .heic .heif .jp2 .jxl .exr .psd .svg .eps",
    ".mp4": ".avi .mov .mkv .webm .mpg .mpeg .m4v .wmv .apng",
    ".safetensors": ".pt .pth .ckpt .npz .npy .pkl .bin",
    ".html": ".pdf .md .xhtml",
}
"""Suffixes of other types, by the one that does the same here: in letters alone, .bmp is nearest to .mp4."""

TAKES = {
    "painting": ("size", "step"),
    "film": ("size", "with", "captions", "pace"),
    "sheet": ("captions",),
    "net": ("step",),
    "page": (),
}
"""The kinds, each with the options that it takes."""


def kind_of(path: Path, kind: str = "") -> str:
    """What to write, one of `TAKES`: by the suffix, then by the words of the name.

    kind: where somebody says it; RecipeError where the suffix is not one of it, or of no known type.
    """
    suffix = path.suffix.lower()
    words = re.split(r"[^a-z]+", path.stem.lower())
    exists = "painting.png|jpg|webp|tiff, sheet.png, film.mp4|webp|gif, net.safetensors, report.html"
    if suffix in LATER:
        raise RecipeError(f"{path.name}: {suffix} cannot be written yet\nhint: these can: {exists}")
    if suffix not in PAINTINGS + FILMS + WEIGHTS + PAGES:
        kin = [known for known, others in KIN.items() if suffix in others.split()]
        near = kin or difflib.get_close_matches(suffix, PAINTINGS + FILMS + WEIGHTS + PAGES, n=1)
        hint = f"did you mean {path.stem + near[0]!r}?" if near else f"these can be written: {exists}"
        raise RecipeError(f"{path.name}: the suffix {suffix!r} is of no known type\nhint: {hint}")
    if not kind:
        if suffix in WEIGHTS:
            kind = "net"
        elif suffix in PAGES:
            kind = "page"
        elif suffix not in PAINTINGS or ("film" in words and suffix in FILMS):
            kind = "film"
        else:
            kind = "sheet" if "sheet" in words else "painting"
    if kind not in TAKES:
        raise RecipeError(f"kind={kind!r} is unknown; known are {', '.join(TAKES)}")
    allowed = {"painting": PAINTINGS, "sheet": PAINTINGS, "film": FILMS, "net": WEIGHTS, "page": PAGES}[kind]
    if suffix not in allowed:
        raise RecipeError(f"{path.name}: a {kind} is written as {', '.join(allowed)}")
    return kind


def check_options(path: Path, kind: str, given: Mapping[str, object]) -> None:
    """RecipeError for an option that is given and that this kind does not take.

    given: by name; None, False and what is empty are options that were not given, and 0 is a step.
    """
    takes = TAKES[kind]
    for name, value in given.items():
        if name not in takes and value is not None and value is not False and value not in ("", ()):
            only = f", only {' and '.join(takes)}" if takes else ""
            raise RecipeError(f"{path.name}: a {kind} takes no {name}{only}")
