"""Numbers, units and scores in words, the same everywhere: terminal, captions, report. Imports no other room."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

__all__ = [
    *("COUNTED", "aligned", "decibels", "duration", "epoch_text", "epochs_text", "metric_name"),
    *("metric_text", "printable", "score_text", "si", "width"),
]

COUNTED = ("v", "step", "total_steps", "epoch", "seconds", "watching_seconds", "cores", "loss")
"""Keys of a metrics line that are no scores."""

NAMES = {
    "psnr": "PSNR",
    "psnr_seen": "PSNR, seen pixels",
    "psnr_hidden": "PSNR, hidden pixels",
    "ssim": "SSIM",
}


def printable(text: str) -> str:
    """Text as one line that a terminal shows and does not obey: control characters, marks that turn the direction
    of writing, and bytes that are no UTF-8 become escapes such as \\x1b. Every printer passes what it did not write
    itself through here."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(c) for c in text)


def _visible(character: str) -> str:
    # Cc control, Cf format (bidirectional marks), Cs half of a pair, Zl and Zp ends of line
    if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character


def width(text: str) -> int:
    """Columns that a terminal gives a line of text: two each for 東 and 京, none for an accent of its own."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len  # 15 ms, which lists of plain names need not wait for

    return cell_len(text)


def aligned(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Rows of cells as a table; columns numbered in `right` end below one another, the others begin so.

    Every cell is made `printable`. Not rich's table: 10,000 runs take it 5 s of processor time and this one 0.04 s,
    and in a pipe it cuts what does not fit into 80 columns.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(width, column)) for column in zip(*shown, strict=True)]

    def filled(cell: str, at: int) -> str:
        room = " " * (widths[at] - width(cell))
        return room + cell if at in right else cell + room

    return "\n".join("  ".join(filled(cell, at) for at, cell in enumerate(row)).rstrip() for row in shown)


def si(number: float) -> str:
    """12345 -> 12.3k, 1900000 -> 1.9M; below 10,000 as it is."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(number) >= limit:
            return f"{number / (limit if unit != 'k' else 1e3):.1f}{unit}"
    return f"{number:.0f}"


def duration(seconds: float) -> str:
    """Seconds as 7 s, 4:12 or 1:04:12; ? if not known."""
    if not math.isfinite(seconds):
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def epoch_text(epoch: float) -> str:
    """`epoch 0.05`, `epoch 12.3`, `epoch 1,250`."""
    return f"epoch {epochs_text(epoch)}"


def epochs_text(epochs: float) -> str:
    """A number of epochs: `0.05`, `12.3`, `1,250`."""
    return f"{epochs:,.0f}" if epochs >= 100 else f"{epochs:.3g}"


def decibels(line: Mapping[str, Any], key: str = "psnr") -> float:
    """A PSNR of a metrics line: infinite for an exact painting, written as null; nan where there is none."""
    value = line.get(key, math.nan)
    return math.inf if value is None else float(value)


def metric_name(key: str) -> str:
    """A metric's name for people."""
    if key.endswith("_ema"):
        return f"{metric_name(key.removesuffix('_ema'))} of the averaged weights"
    return NAMES.get(key, key.replace("_", " "))


def metric_text(key: str, value: Any) -> str:
    """A metric's value for people: decibels, per cent of errors, or a plain number.

    The package writes an infinite PSNR as null: that painting is exact. Another null was not measured: –.
    """
    if value is None:
        return "exact" if key.startswith("psnr") else "–"
    if key.startswith("psnr"):
        return f"{value:.2f} dB"
    if key.endswith("_error"):
        return f"{100 * value:.2f} %"
    if isinstance(value, float):
        return f"{value:.4f}" if 0.001 <= abs(value) < 1e4 or value == 0 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def score_text(line: Mapping[str, Any]) -> str:
    """The first score of a metrics line that says how good the net is: `31.26 dB`, `exact`, `1.23 % errors`; empty
    where there is none."""
    if "psnr" in line:
        return metric_text("psnr", line["psnr"])
    for name, value in line.items():
        if name.endswith("_error") and value is not None:
            return f"{metric_text(name, value)} errors"
    return ""
