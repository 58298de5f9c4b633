"""Folders of comparisons and sweeps: what they are called, and that none goes on in another's."""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import RunError

__all__ = ["claim", "folder_name"]

MARKS = {"comparison": "request.json", "sweep": "sweep.json", "run": "recipe.json"}
"""The file by which each is known."""


def claim(folder: Path, kind: str) -> None:
    """RunError where the folder holds something else than a `kind` (a key of MARKS)."""
    for other, mark in MARKS.items():
        if other != kind and (folder / mark).exists():
            raise RunError(f"{folder} holds a {other}, not a {kind}\nhint: --out another folder")


def folder_name(text: str) -> str:
    """A folder's name from any words: at most 80 bytes, since 80 letters may be 320 and a name ends at 255."""
    return re.sub(r"[^\w.-]", "-", text).encode()[:80].decode(errors="ignore")
