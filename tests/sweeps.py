"""Sweep files for tests."""

from __future__ import annotations

from pathlib import Path

from sfumato.compare.sweep_file import Sweep, read

BASE = """
picture = "photo.png"
recipe = "siren"
net = "6"
batch = 32
steps = 8
engine = "eager"
"""
"""Eight steps of a tiny net; `photo.png` lies beside the file."""


def written(folder: Path, rest: str, base: str = BASE) -> Sweep:
    (folder / "sweep.toml").write_text(base + rest)
    return read(folder / "sweep.toml")
