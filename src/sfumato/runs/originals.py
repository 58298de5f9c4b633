"""The files that a run is made of: what is derived from them can be made again, they cannot."""

from __future__ import annotations

from pathlib import Path

from ..errors import RunError

__all__ = ["refuse_originals"]

FILES = (
    *("recipe.json", "origin.json", "metrics.jsonl", "checkpoint.safetensors"),
    *("target.png", "target.npy", "lock"),
)
ROOMS = ("frames", "weights")


def refuse_originals(path: Path) -> None:
    """RunError if a view that is written to `path` would replace what a run, any run, is made of."""
    inside = path.parent.name in ROOMS and _is_run(path.parent.parent)
    if inside or (path.name in FILES and _is_run(path.parent)):
        raise RunError(
            f"cannot write {path}: it is what a run is made of, and cannot be made again\nhint: another name"
        )


def _is_run(folder: Path) -> bool:
    return (folder / "recipe.json").is_file() and (folder / "origin.json").is_file()
