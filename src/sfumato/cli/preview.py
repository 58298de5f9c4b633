"""A painting in the terminal itself: as a picture where the terminal can show one, else in coloured half blocks.

Which it is, the environment says: kitty's protocol, iTerm2's, sixels (DEC, 1987). A terminal inside tmux or screen
gets half blocks, because these pass no pictures on.
"""

from __future__ import annotations

import base64
import io
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from PIL import Image

__all__ = ["drawn", "show", "way"]

TALLEST, WIDEST = 24, 60
"""Rows and columns of the terminal that a preview takes at most."""

CELL = 10, 20
"""Pixels across and down of a cell of the terminal, as most fonts have it: sizes need not be exact."""

CHUNK = 4096
"""Bytes of base64 in one message of kitty's protocol, at most."""

SIXEL_COLOURS = 128

LEVELS = np.array([0, 95, 135, 175, 215, 255])
"""Of red, green and blue among a terminal's 256 colours, as xterm has them."""


def show(path: Path, stream: IO[str] | None = None, environment: Mapping[str, str] = os.environ) -> bool:
    """Show a picture file in the terminal behind `stream` (stderr); False where nobody would see it."""
    stream = stream or sys.stderr
    if not (stream.isatty() and sys.stdout.isatty()):
        return False
    with Image.open(path) as image:
        text = drawn(image.convert("RGB"), way(environment), *shutil.get_terminal_size(), environment)
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:  # a terminal that knows no half blocks
        return False
    return bool(text)


def way(environment: Mapping[str, str]) -> str:
    """`kitty`, `iterm`, `sixel`, `blocks`, or empty where the terminal takes no colours."""
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if term in ("", "dumb") or environment.get("NO_COLOR"):
        return ""
    if "TMUX" in environment or term.startswith(("screen", "tmux")):
        return "blocks"
    if "KITTY_WINDOW_ID" in environment or "kitty" in term or program == "ghostty":
        return "kitty"
    if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if "sixel" in term or term.startswith(("foot", "mlterm", "contour", "yaft")):
        return "sixel"
    return "blocks"


def drawn(image: Image.Image, how: str, columns: int, rows: int, environment: Mapping[str, str]) -> str:
    """What to write so that an RGB picture appears, within `columns` x `rows` cells and the limits above; empty for
    no way. environment: COLORTERM tells whether half blocks may take any colour or one of 256."""
    if not how or columns < 8 or rows < 6:
        return ""
    across, down = min(columns - 1, WIDEST), min(rows - 4, TALLEST)
    if how == "blocks":
        share = min(across / image.width, 2 * down / image.height)
        small = _resized(image, share, even=True)
        every = environment.get("COLORTERM", "") in ("truecolor", "24bit")
        return _blocks(np.asarray(small), every)
    share = min(across * CELL[0] / image.width, down * CELL[1] / image.height)
    small = _resized(image, share)
    if how == "sixel":
        return _sixels(small) + "\n"
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode()
    if how == "iterm":
        size = f"size={len(buffer.getvalue())};width={small.width}px;height={small.height}px"
        return f"\x1b]1337;File=inline=1;{size}:{data}\a\n"
    parts = [data[k : k + CHUNK] for k in range(0, len(data), CHUNK)]
    messages = [
        f"\x1b_G{'a=T,f=100,' if k == 0 else ''}m={int(k + 1 < len(parts))};{part}\x1b\\"
        for k, part in enumerate(parts)
    ]
    return "".join(messages) + "\n"


def _resized(image: Image.Image, share: float, even: bool = False) -> Image.Image:
    width, height = max(1, round(image.width * share)), max(1, round(image.height * share))
    method = Image.Resampling.LANCZOS if share < 1 else Image.Resampling.NEAREST
    return image.resize((width, height + (height % 2 if even else 0)), method)


def _blocks(pixels: npt.NDArray[np.uint8], every: bool) -> str:
    """Two pixels a cell: the upper one in the colour of the letter, the lower one in that of the ground."""

    def colour(pixel: npt.NDArray[np.uint8]) -> str:
        if every:
            return "2;" + ";".join(map(str, pixel))
        red, green, blue = np.abs(pixel[:, None].astype(int) - LEVELS).argmin(1)
        return f"5;{16 + 36 * red + 6 * green + blue}"

    lines = []
    for top, bottom in zip(pixels[::2], pixels[1::2], strict=True):
        cells = (
            f"\x1b[38;{colour(a)};48;{colour(b)}m\N{UPPER HALF BLOCK}"
            for a, b in zip(top, bottom, strict=True)
        )
        lines.append("".join(cells) + "\x1b[0m\n")
    return "".join(lines)


def _sixels(image: Image.Image) -> str:
    """Bands of six rows; in each a line for every colour in it, whose letters say which of the six have it."""
    indexed = image.quantize(SIXEL_COLOURS)
    palette = np.array(indexed.getpalette()).reshape(-1, 3)
    pixels = np.asarray(indexed)
    parts = [f'\x1bPq"1;1;{image.width};{image.height}']
    parts += [
        f"#{k};2;" + ";".join(str(round(v / 2.55)) for v in rgb)
        for k, rgb in enumerate(palette)
        if k <= pixels.max()
    ]
    weights = 2 ** np.arange(6)
    for top in range(0, image.height, 6):
        band = pixels[top : top + 6]
        for k in np.unique(band):
            letters = ((band == k) * weights[: len(band), None]).sum(0) + 63
            parts.append(f"#{k}{bytes(letters.astype(np.uint8)).decode('ascii')}$")
        parts.append("-")
    return "".join(parts) + "\x1b\\"
