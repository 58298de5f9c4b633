"""A run directory: layout, how it comes to be, reading back, the lock. No torch at the top: listing must be quick.

    recipe.json              every field, defaults expanded; `sfumato paint PICTURE --recipe RUN` repeats it
    origin.json              version, argv, source, packages, processor, threads, what is watched
    metrics.jsonl            append-only, one object a beat
    frames/000500.jpg        what the net had learned at step 500
    weights/000500.safetensors   its parameters in half precision, at some of the beats
    checkpoint.safetensors   weights, optimizer and position in full: resuming equals never stopping
    target.png               what was to be learned (target.npy beside it where 8 bits do not hold it)
    painting.png film.mp4 atlas/ report.html    derived: may be deleted

Whether a run is running, done, interrupted or damaged is derived: a running one holds its lock. What is promised of
kills, power cuts, full disks and runs from strangers stands in docs/reliability.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import RecipeError, RunError
from ..files import append, own, read, save_bytes, save_text, settle, sweep, writing
from ..recipe import Recipe, net_text, parse_variant
from . import drafts, metrics, tensors
from .kept import nearest
from .lock import holding, is_held
from .origin import FORMAT, checked
from .watch import Watch, outcome

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..nets import Net
    from ..picture import Picture

__all__ = ["RunDirectory", "checkpoint_file"]

SMALL, LONG = 1 << 22, 1 << 28
"""Bytes: the largest recipe or origin that is read, and the largest metrics.jsonl."""

FILES = (
    *("recipe.json", "origin.json", "metrics.jsonl", "checkpoint.safetensors", "target.png", "target.npy"),
    *("painting.png", "film.mp4", "film.webp", "film.gif", "report.html", "lock"),
)
ROOMS = ("frames", "weights", "atlas")

VIEWING = 3600.0
"""Seconds after which what a view was writing into atlas/ is taken for left behind: views hold no lock."""


class RunDirectory:
    """One run directory. Opening it reads two small files; everything else is read when asked for."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Open an existing run; raises RunError if `folder` is none, is damaged, or of a newer version."""
        self.folder = Path(folder)
        self.stopped_by = 0
        """Number of the signal that ended `perform` early; 0 if none did."""
        self.reached = True
        """Whether the target that `perform` was given was reached; True if there was none."""
        self.verdict = ""
        """What became of that target, in words; empty if there was none, or a signal came first."""
        self.origin: dict[str, Any] = {}
        self._unsettled: dict[Path, None] = {}
        self._load()

    def _load(self) -> None:
        if not self.folder.is_dir():
            raise RunError(f"run {str(self.folder)!r} not found")
        self.origin = checked(self._read("origin.json"), self.folder)
        try:
            where = str(self.folder / "recipe.json")
            self.recipe = Recipe.from_json(self._read("recipe.json"), where=where)
        except RecipeError as error:
            raise RunError(f"{self.folder}: recipe.json cannot be read: {error}") from error

    def _read(self, name: str) -> str:
        try:
            return read(self.folder, name, SMALL).decode()
        except FileNotFoundError as error:
            raise RunError(f"{self.folder} is not a run directory: it holds no {name}") from error
        except UnicodeDecodeError as error:
            raise RunError(f"{self.folder / name} is damaged: no text") from error

    @classmethod
    @contextmanager
    def create(
        cls,
        parent: str | os.PathLike[str],
        recipe: Recipe,
        name: str,
        origin: Mapping[str, Any],
        files: Mapping[str, bytes] | None = None,
        *,
        wait: bool = True,
    ) -> Iterator[Self]:
        """Make `parent/<date>_<time>_<name>_<net>-<activation>_<random>/`, and hold its lock inside the `with`.

        files: what else it starts with, by name. Everything is written under a hidden name, which one rename makes
        the run's own: a run is whole or it is not there, even after a power cut. wait: for the disk; without it,
        `settle` does, as before the first checkpoint. Raises RunError if that cannot be written, and leaves nothing
        then.
        """
        kind = parse_variant(recipe.activation)[0] if isinstance(recipe.activation, str) else "custom"
        safe = "".join(c if c.isalnum() or c in "-." else "-" for c in name)[:40].strip("-.") or "run"
        shape = net_text(recipe.net).replace(",", "-")[:24]
        label = f"{datetime.now():%Y-%m-%d_%H%M}_{safe}_{shape}-{kind}"
        digests = {key: _digest(content) for key, content in (files or {}).items()}
        described = {"format": FORMAT, **origin} | ({"files": digests} if digests else {})
        contents = {
            "recipe.json": recipe.to_json().encode(),
            "origin.json": (json.dumps(described, indent=2) + "\n").encode(),
            **(files or {}),
        }
        with drafts.making(Path(parent), label, contents, wait=wait) as folder:
            run = cls(folder)
            if not wait:
                run._unsettled |= dict.fromkeys(folder / key for key in contents)
            yield run

    # What is known -------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.folder.name

    def file(self, name: str) -> Path:
        """The path of a file of the run, there or not; RunError if it would lead out of the run."""
        return own(self.folder, name)

    def room(self, name: str) -> Path:
        """A folder of the run for views, made if it is not there, of which nothing leads out of the run."""
        path = own(self.folder, name, room=True)
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            for at, folders, files in os.walk(path):
                inside = Path(at).relative_to(self.folder)
                for entry in folders:
                    own(self.folder, f"{inside}/{entry}", room=True)
                for entry in files:
                    own(self.folder, f"{inside}/{entry}")
        return path

    @property
    def history(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl in order of steps, each with a whole `step` and finite numbers; a last line
        torn by a crash is left out. RunError if it is damaged."""
        try:
            text = read(self.folder, "metrics.jsonl", LONG).decode(errors="replace")
        except FileNotFoundError:
            return []
        return metrics.parsed(text, str(self.folder / "metrics.jsonl"))

    @property
    def last(self) -> dict[str, Any]:
        """The newest line of `history`; empty if there is none."""
        lines = self.history
        return lines[-1] if lines else {}

    @property
    def state(self) -> str:
        """`running` (its lock is held), `damaged` (see `damage`), or what `outcome` says."""
        return self.look()[0]

    @property
    def damage(self) -> str:
        """What is wrong with metrics or the names of frames and weights, in a line; empty if nothing is."""
        return self.look()[2]

    def look(self) -> tuple[str, dict[str, Any], str]:
        """State, newest line of metrics and damage, with one reading of the files."""
        try:
            self._check_names()
            last = self.last
            self.steps()
            self.frames()
        except RunError as error:
            return "damaged", {}, str(error).split("\n")[0]
        state = "running" if is_held(self.folder) else outcome(last, self.origin.get("until"))
        return state, last, ""

    @property
    def watch(self) -> Watch:
        """What the run was told to watch and keep."""
        return Watch(**self.origin.get("watch", {}))

    def steps(self) -> list[int]:
        """Steps whose weights are kept, ascending."""
        return self._numbered("weights", ".safetensors")

    def frames(self) -> list[tuple[int, Path]]:
        """(step, file) of each frame, ascending."""
        folder = self.folder / "frames"
        return [(step, folder / f"{step:06d}.jpg") for step in self._numbered("frames", ".jpg")]

    @property
    def target(self) -> Picture:
        """What was to be learned, with the exact values that were learned; RunError if the run has none, or it is
        no longer what the run started with."""
        from .. import picture

        for name in ("target.png", "target.npy"):
            self._unchanged(name)
        path = self.file("target.png")
        if not path.exists():
            raise RunError(f"{self.folder} holds no target picture")
        shown = picture.load(path, alpha=int(self.origin.get("outputs", 3)) == 4, max_pixels=None)
        exact = self.file("target.npy")
        if exact.exists():
            import numpy as np

            try:
                values = np.load(exact, allow_pickle=False)
            except (OSError, ValueError, EOFError, MemoryError) as error:
                raise RunError(f"{exact} is damaged: {error}") from error
            if values.shape[:2] != (shown.height, shown.width) or values.dtype != np.float32:
                raise RunError(f"{exact} is damaged: it is not the picture of target.png")
            return picture.from_array(values, icc=shown.icc, name=shown.name)
        return shown

    @property
    def source(self) -> str | None:
        """What the task is given to load its data again: the run's own picture, or the name of a data set.

        RunError for anything else that origin.json may say: no path out of the run is followed.
        """
        if self.recipe.task == "picture":
            self._unchanged("target.png")
            kept = self.file("target.png")
            if not kept.exists():
                raise RunError(
                    f"{self.folder} lacks target.png, so what it learned is not known exactly\nhint: put it back"
                )
            return str(kept)
        said = self.origin.get("source")
        if said is not None and not re.fullmatch(r"[\w-]{1,80}", said):
            raise RunError(
                f"{self.folder}: origin.json names no data set\nhint: no path out of a run is followed"
            )
        return said

    def net(self, step: int | None = None) -> Net:
        """The net as it was at `step`, from the kept weights nearest to it; None: the newest, in full precision.

        Raises RunError if no weights were kept, or they are damaged.
        """
        from .. import nets

        if "inputs" not in self.origin or "outputs" not in self.origin:
            raise RunError(f"{self.folder}: origin.json does not say how many inputs and outputs there are")
        inputs, outputs = self.origin["inputs"], self.origin["outputs"]
        aspect, weights = self.origin.get("aspect", 1.0), self.weights(step)
        # A recipe that someone has edited may describe a net of any size: shapes are compared before it is made.
        sketch = nets.sketch(self.recipe, inputs, outputs, aspect=aspect)
        wanted = {name: parameter.shape for name, parameter in sketch.named_parameters()}
        if any(name not in weights or weights[name].shape != shape for name, shape in wanted.items()):
            raise self._unfit()
        net = nets.build(self.recipe, inputs, outputs, aspect=aspect)
        # Runs of old kept the encoding's constants too, in half precision: those of the recipe are exact.
        constants = dict(net.named_buffers())
        self.fit(net, {n: t for n, t in weights.items() if n not in constants})
        return net

    def weights(self, step: int | None = None) -> dict[str, Tensor]:
        """The weights as they were at `step`, by name, for `fit`: those kept nearest to it; None: the newest, in
        full precision where there is a checkpoint. Raises RunError if none were kept, or they are damaged."""
        if step is None and self.file("checkpoint.safetensors").exists():
            return self.checkpoint()[0]
        found, _ = tensors.unpack(self.folder, f"weights/{self.kept_step(step):06d}.safetensors")
        return {name: tensor.float() for name, tensor in found.items()}

    def kept_step(self, step: int | None) -> int:
        """The step whose weights `net(step)` has. Raises RunError if no weights were kept."""
        if step is None and self.file("checkpoint.safetensors").exists():
            return int(self.checkpoint()[2]["step"])
        kept = self.steps()
        if not kept:
            raise RunError(
                f"{self.folder} holds no weights\nhint: sfumato resume {shlex.quote(str(self.folder))}"
            )
        return kept[-1] if step is None else nearest(kept, step)

    def fit(self, net: nn.Module, weights: Mapping[str, Tensor]) -> None:
        """Load weights of this run into a net, whose constants stay where there are none; RunError if the recipe no
        longer describes that net."""
        try:
            missing = net.load_state_dict(dict(weights), strict=False)
            lacking = set(missing.missing_keys) - set(dict(net.named_buffers()))
            if lacking or missing.unexpected_keys:
                raise RuntimeError(f"{sorted(lacking)} {missing.unexpected_keys}")
        except RuntimeError as error:
            raise self._unfit() from error

    def _unfit(self) -> RunError:
        return RunError(
            f"{self.folder}: the weights do not fit its recipe.json\nhint: has recipe.json been edited?"
        )

    def checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
        """Weights, optimizer state, and facts (step, seconds); RunError if there is none or it is damaged."""
        if not self.file("checkpoint.safetensors").exists():
            raise RunError(f"{self.folder} holds no checkpoint, so it cannot go on")
        found, facts = tensors.unpack(self.folder, "checkpoint.safetensors")
        numbers = all(isinstance(fact, (int, float)) and -1e18 < fact < 1e18 for fact in facts.values())
        if not numbers or not {"step", "seconds"} <= facts.keys():
            raise RunError(f"{self.folder}: checkpoint.safetensors does not say where it stands")
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "state": {}}
        for key, tensor in found.items():
            kind, _, name = key.partition(":")
            parts.setdefault(kind, {})[name] = tensor
        return parts["weights"], parts["state"], facts

    # Writing -------------------------------------------------------------------------------------------------

    def save_checkpoint(
        self, weights: Mapping[str, Tensor], state: Mapping[str, Tensor], facts: Mapping[str, Any]
    ) -> None:
        """Replace checkpoint.safetensors in one go; a crash in between leaves the old one.

        What the run wrote before is on the disk before it: all beats up to a checkpoint outlast a power cut.
        """
        self._check_there()
        self.settle()
        save_bytes(self.file("checkpoint.safetensors"), checkpoint_file(weights, state, facts))

    def save_weights(self, step: int, net: nn.Module) -> None:
        """Keep the parameters of a step in half precision, those that it cannot hold (above 65504) in full."""
        kept = {}
        for name, parameter in net.named_parameters():
            half = parameter.detach().half()
            kept[name] = half if half.isfinite().all() else parameter.detach()
        for name, buffer in net.named_buffers():
            if not name.startswith(
                "encoding."
            ):  # a module's own memory; constants of an encoding are the recipe's
                kept[name] = buffer
        self.save(f"weights/{step:06d}.safetensors", tensors.pack(kept, {"step": step}))

    def save_frame(self, step: int, content: bytes) -> None:
        """Keep the JPEG of a step."""
        self.save(f"frames/{step:06d}.jpg", content)

    def add_metrics(self, line: Mapping[str, Any]) -> None:
        """Append one object to metrics.jsonl."""
        self._check_there()
        path = self.file("metrics.jsonl")
        append(path, json.dumps(dict(line)) + "\n")
        self._unsettled[path] = None

    def _check_there(self) -> None:
        """RunError where someone has removed or renamed the directory: writing on would make half a run of it."""
        if not (self.folder / "recipe.json").is_file():
            raise RunError(
                f"{self.folder} was removed or renamed while it was being written\n"
                "hint: what was trained since its last checkpoint is lost"
            )

    def save(self, name: str, content: bytes) -> None:
        """Replace a file of the run in one go; `settle` waits for the disk."""
        self._check_there()
        path = self.file(name)
        save_bytes(path, content, folders=True, wait=False)
        self._unsettled[path] = None

    def settle(self) -> None:
        """Wait until all that was written is on the disk."""
        settle(self._unsettled)
        self._unsettled.clear()

    def forget_after(self, step: int) -> None:
        """Drop metrics, frames and weights later than `step`, which a resumed run will write anew.

        metrics.jsonl is written anew in any case: so a torn line goes, and a second name that it has elsewhere.
        """
        kept = [line for line in self.history if line["step"] <= step]
        save_text(self.file("metrics.jsonl"), "".join(json.dumps(line) + "\n" for line in kept))
        late = [path for number, path in self.frames() if number > step]
        late += [self.folder / f"weights/{n:06d}.safetensors" for n in self.steps() if n > step]
        for path in late:
            with writing(path):
                path.unlink()

    def change_recipe(self, recipe: Recipe) -> None:
        """Give the run another recipe (a longer budget)."""
        save_text(self.file("recipe.json"), recipe.to_json())
        self.recipe = recipe

    def change_origin(self, **facts: Any) -> None:
        """Add facts to origin.json."""
        self.origin |= facts
        save_text(self.file("origin.json"), json.dumps(self.origin, indent=2) + "\n")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the run for this process, as it is on disk now; RunError if another process holds it, it is gone, or
        something in it leads out of it.

        A dead process drops the lock; what it had begun to write is swept away first.
        """
        with holding(self.folder):
            self._check_names()
            sweep(self.folder)
            sweep(self.folder / "frames")
            sweep(self.folder / "weights")
            sweep(self.folder / "atlas", older=VIEWING)
            self._load()
            yield

    def _check_names(self) -> None:
        """RunError if what has the name of a part of the run is no plain file or folder of its own."""
        for name in FILES:
            own(self.folder, name)
        for name in ROOMS:
            own(self.folder, name, room=True)

    def _numbered(self, name: str, suffix: str) -> list[int]:
        """The steps that stand in the names of a folder's files, ascending."""
        found = []
        try:
            entries = list(os.scandir(own(self.folder, name, room=True)))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"{self.folder / name} cannot be read: {error.strerror or error}") from error
        for entry in entries:
            if not entry.name.endswith(suffix) or entry.name.startswith("."):
                continue
            stem = entry.name.removesuffix(suffix)
            if not re.fullmatch(r"[0-9]{6,18}", stem) or f"{int(stem):06d}" != stem:
                raise RunError(f"{self.folder} is damaged: {name}/{entry.name} is named after no step")
            if not entry.is_file(follow_symlinks=False):
                own(self.folder, f"{name}/{entry.name}")
            found.append(int(stem))
        return sorted(found)

    def _unchanged(self, name: str) -> None:
        """RunError if a file is not the one that the run was made with, where origin.json says which that was."""
        wanted = self.origin.get("files", {}).get(name)
        if wanted is None:
            return
        try:
            found = _digest(read(self.folder, name, 1 << 40))
        except FileNotFoundError as error:
            raise RunError(f"{self.folder} lacks {name}, which it learned\nhint: put it back") from error
        if found != wanted:
            raise RunError(f"{self.folder / name} is not what the run learned\nhint: put the first one back")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"


def checkpoint_file(
    weights: Mapping[str, Tensor], state: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> bytes:
    """The bytes of a checkpoint.safetensors."""
    named = {f"weights:{n}": t for n, t in weights.items()} | {f"state:{n}": t for n, t in state.items()}
    return tensors.pack(named, facts)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
