"""A run directory: layout, atomic writing, reading back, the lock. No torch at the top: listing must be quick.

    recipe.json              every field, defaults expanded; `sfumato paint --recipe RUN` repeats it
    origin.json              version, argv, source, packages, processor, threads, what is watched
    metrics.jsonl            append-only, one object a beat
    frames/000500.jpg        what the net had learned at step 500
    weights/000500.safetensors   its weights in half precision, at some of the beats
    checkpoint.safetensors   weights, optimizer and position in full: resuming equals never stopping
    target.png               what was to be learned
    painting.png film.mp4 atlas/ report.html    derived: may be deleted

Whether a run is running, done or interrupted is derived: a running one holds its lock.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import RecipeError, RunError
from ..files import holding, save_bytes, save_text, try_lock, writing
from ..recipe import Recipe, net_text, parse_variant
from .watch import outcome

if TYPE_CHECKING:
    from torch import Tensor

    from ..nets import Net
    from ..picture import Picture

__all__ = ["RunDirectory", "read_lines"]

FORMAT = 1


class RunDirectory:
    """One run directory. Opening it reads two small files; everything else is read when asked for."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Open an existing run; raises RunError if `folder` is none, or was written by a newer version."""
        self.folder = Path(folder)
        self.origin: dict[str, Any] = _read_json(self.folder / "origin.json", self.folder)
        if int(self.origin.get("format", 0)) > FORMAT:
            raise RunError(
                f"{self.folder} has format {self.origin['format']}, this sfumato reads up to {FORMAT}\n"
                "hint: update sfumato"
            )
        try:
            text = (self.folder / "recipe.json").read_text(encoding="utf-8")
            self.recipe = Recipe.from_json(text, where=str(self.folder / "recipe.json"))
        except (OSError, UnicodeDecodeError, RecipeError) as error:
            raise RunError(f"{self.folder}: recipe.json cannot be read: {error}") from error
        self.stopped_by = 0
        """Number of the signal that ended `perform` early; 0 if none did."""
        self.reached = True
        """Whether the target that `perform` was given was reached; True if there was none."""
        self.verdict = ""
        """What became of that target, in words; empty if there was none, or a signal came first."""

    @classmethod
    def create(
        cls, parent: str | os.PathLike[str], recipe: Recipe, name: str, origin: Mapping[str, Any]
    ) -> Self:
        """Make `parent/<date>_<time>_<name>_<net>-<activation>_<random>/` and write recipe and origin into it.

        Raises RunError if that cannot be written.
        """
        kind = parse_variant(recipe.activation)[0] if isinstance(recipe.activation, str) else "custom"
        safe = "".join(c if c.isalnum() or c in "-." else "-" for c in name)[:40].strip("-.") or "run"
        shape = net_text(recipe.net).replace(",", "-")[:24]
        stamp = datetime.now().strftime("%Y-%m-%d_%H%M")
        folder = Path(parent) / f"{stamp}_{safe}_{shape}-{kind}_{secrets.token_hex(2)}"
        with writing(folder):
            (folder / "frames").mkdir(parents=True)
            (folder / "weights").mkdir()
        try:
            save_text(folder / "recipe.json", recipe.to_json())
            save_text(folder / "origin.json", json.dumps({"format": FORMAT, **origin}, indent=2) + "\n")
        except RunError:
            shutil.rmtree(folder, ignore_errors=True)  # an empty shell is of no use to anyone
            raise
        return cls(folder)

    # What is known -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.folder.name

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl in order of steps; a line torn by a crash is left out."""
        return read_lines(self.folder / "metrics.jsonl")

    @property
    def last(self) -> dict[str, Any]:
        """The newest line of `history`; empty if there is none."""
        return next(_objects(self.folder / "metrics.jsonl", newest_first=True), {})

    @property
    def state(self) -> str:
        """`running` (its lock is held), or what `outcome` says."""
        return "running" if self.locked(self.folder) else outcome(self.last, self.origin.get("until"))

    def steps(self) -> list[int]:
        """Steps whose weights are kept, ascending."""
        return _numbered(self.folder / "weights", ".safetensors")

    def frames(self) -> list[tuple[int, Path]]:
        """(step, file) of each frame, ascending."""
        folder = self.folder / "frames"
        return [(step, folder / f"{step:06d}.jpg") for step in _numbered(folder, ".jpg")]

    @property
    def target(self) -> Picture:
        """What was to be learned, with the exact values that were learned; RunError if the run has none."""
        from .. import picture

        path = self.folder / "target.png"
        if not path.exists():
            raise RunError(f"{self.folder} holds no target picture")
        shown = picture.load(path, alpha=int(self.origin.get("outputs", 3)) == 4, max_pixels=None)
        exact = self.folder / "target.npy"
        if exact.exists():
            import numpy as np

            return picture.from_array(np.load(exact, allow_pickle=False), icc=shown.icc, name=shown.name)
        return shown

    def net(self, step: int | None = None) -> Net:
        """The net as it was at `step`, from the kept weights nearest to it; None: the newest, in full precision.

        Raises RunError if no weights were kept.
        """
        from safetensors.torch import load_file

        from .. import nets

        try:
            inputs, outputs = int(self.origin["inputs"]), int(self.origin["outputs"])
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(
                f"{self.folder}: origin.json does not say how many inputs and outputs there are"
            ) from error
        net = nets.build(self.recipe, inputs, outputs, aspect=float(self.origin.get("aspect", 1.0)))
        if step is None and (self.folder / "checkpoint.safetensors").exists():
            tensors, _, _ = self.checkpoint()
        else:
            kept = self.steps()
            if not kept:
                raise RunError(f"{self.folder} holds no weights\nhint: sfumato resume {self.folder}")
            near = kept[-1] if step is None else min(kept, key=lambda s: abs(s - step))
            tensors = load_file(self.folder / "weights" / f"{near:06d}.safetensors")
        self.fit(net, {name: tensor.float() for name, tensor in tensors.items()})
        return net

    def fit(self, net: Net, weights: Mapping[str, Tensor]) -> None:
        """Load weights of this run into a net; RunError if the recipe no longer describes that net."""
        try:
            net.load_state_dict(dict(weights))
        except RuntimeError as error:
            raise RunError(
                f"{self.folder}: the weights do not fit its recipe.json\nhint: has recipe.json been edited?"
            ) from error

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
        """Weights, optimizer state, and facts (step, seconds); RunError if there is none or it is damaged."""
        from safetensors import SafetensorError, safe_open

        path = self.folder / "checkpoint.safetensors"
        weights: dict[str, Tensor] = {}
        state: dict[str, Tensor] = {}
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads((file.metadata() or {}).get("facts", "{}"))
                for key in file.keys():  # noqa: SIM118  # safe_open is no mapping
                    kind, _, name = key.partition(":")
                    (weights if kind == "weights" else state)[name] = file.get_tensor(key)
        except FileNotFoundError as error:
            raise RunError(f"{self.folder} holds no checkpoint, so it cannot go on") from error
        except (SafetensorError, OSError, ValueError) as error:
            raise RunError(f"{path} is damaged: {error}") from error
        return weights, state, facts

    # Writing -------------------------------------------------------------------------------------------------

    def save_checkpoint(
        self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], facts: Mapping[str, Any]
    ) -> None:
        """Replace checkpoint.safetensors in one go; a crash in between leaves the old one."""
        from safetensors.torch import save

        tensors = {f"weights:{n}": t.contiguous() for n, t in weights.items()}
        tensors |= {f"state:{n}": t.contiguous() for n, t in state.items()}
        save_bytes(self.folder / "checkpoint.safetensors", save(tensors, {"facts": json.dumps(dict(facts))}))

    def save_weights(self, step: int, weights: Mapping[str, Tensor]) -> None:
        """Keep the weights of a step in half precision."""
        from safetensors.torch import save

        halves = {n: t.half().contiguous() for n, t in weights.items()}
        save_bytes(self.folder / "weights" / f"{step:06d}.safetensors", save(halves))

    def add_metrics(self, line: Mapping[str, Any]) -> None:
        """Append one object to metrics.jsonl and flush it."""
        path = self.folder / "metrics.jsonl"
        with writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(line)) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop metrics, frames and weights later than `step`, which a resumed run will write anew."""
        kept = [line for line in self.history if line["step"] <= step]
        save_text(self.folder / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in kept))
        for number, path in self.frames():
            if number > step:
                path.unlink()
        for number in self.steps():
            if number > step:
                (self.folder / "weights" / f"{number:06d}.safetensors").unlink()

    def change_recipe(self, recipe: Recipe) -> None:
        """Give the run another recipe (a longer budget)."""
        save_text(self.folder / "recipe.json", recipe.to_json())
        self.recipe = recipe

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process; RunError if another process holds it. A dead process drops it."""
        with holding(self.folder):
            yield

    def remove(self) -> None:
        """Delete the directory and all that is in it; RunError while it is running."""
        with self.lock():
            pass
        with writing(self.folder):
            shutil.rmtree(self.folder)

    @staticmethod
    def locked(folder: Path) -> bool:
        """Whether a process holds the run in `folder`."""
        path = folder / "lock"
        try:
            with path.open("r+") as file:
                return not try_lock(file.fileno())
        except OSError:
            return False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; lines that are no objects are left out, a missing file is empty."""
    return list(_objects(path))


def _objects(path: Path, *, newest_first: bool = False) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in reversed(lines) if newest_first else lines:
        try:
            value = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(value, dict) and "step" in value:
            yield value


def _read_json(path: Path, folder: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        if not folder.is_dir():
            raise RunError(f"run {str(folder)!r} not found") from error
        raise RunError(f"{folder} is not a run directory: {path.name} cannot be read") from error
    if not isinstance(value, dict):
        raise RunError(f"{path} is damaged: not a JSON object")
    return value


def _numbered(folder: Path, suffix: str) -> list[int]:
    if not folder.is_dir():
        return []
    return sorted(int(p.stem) for p in folder.iterdir() if p.suffix == suffix and p.stem.isdigit())
