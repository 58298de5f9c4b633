"""What the server can hand out: pictures to learn and runs to look at, by keys of its own making.

No text of a page ever becomes part of a path: a key is looked up here, and is known or not.
"""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from ..errors import PictureError, RunError
from ..files import read, save_bytes
from ..runs import RunDirectory
from ..runs.index import listing, overview

__all__ = ["MOST_BYTES", "Shelf", "Shelved", "picture_of", "safe_name"]

MOST_BYTES = 32 << 20
"""Bytes of an uploaded picture."""

MOST_BYTES_KEPT = 1 << 28
"""Bytes of a picture that lies in a run."""

MOST_PIXELS = 1 << 26
"""Pixels of a picture that a run from elsewhere hands to a page: a browser takes four bytes for each."""

MOST_UPLOADS = 200
"""Uploads that are kept until the server ends; the oldest one makes room."""


@dataclass(frozen=True)
class Shelved:
    """A picture that can be learned: its key, its title, what `perform` takes as source (None: the Mona Lisa), the
    name that runs get, and its PNG for the page."""

    key: str
    title: str
    source: str | None
    name: str
    preview: bytes
    width: int
    height: int


class Shelf:
    """Pictures of this server (samples and uploads, in a folder that ends with it) and runs of a folder."""

    def __init__(self, out: str, extra: RunDirectory | None = None) -> None:
        self.out = out
        self.pictures: dict[str, Shelved] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="sfumato-playground-")
        self._extra = {extra.name: extra} if extra else {}
        self._runs: dict[str, RunDirectory] = {}
        self._listed = -1.0

    def close(self) -> None:
        """Delete the uploads."""
        self._folder.cleanup()

    @property
    def folder(self) -> Path:
        """Where uploads lie until the server ends."""
        return Path(self._folder.name)

    def store(self, content: bytes) -> tuple[str, Path]:
        """Write an upload under a name made from its bytes; its key and path. RunError where the disk refuses."""
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / digest
        save_bytes(path, content, wait=False)
        return f"upload:{digest[:16]}", path

    def shelve(self, one: Shelved) -> None:
        """Add a picture; the oldest upload goes where there are too many."""
        self.pictures.pop(one.key, None)
        self.pictures[one.key] = one
        uploads = [key for key in self.pictures if key.startswith("upload:")]
        for key in uploads[:-MOST_UPLOADS]:
            gone = self.pictures.pop(key)
            if gone.source:
                Path(gone.source).unlink(missing_ok=True)

    def picture(self, key: str) -> Shelved:
        """The picture of that key; PictureError if there is none."""
        if key not in self.pictures:
            raise PictureError("this picture is not known here any more\nhint: choose or upload it again")
        return self.pictures[key]

    def learned(self, run: RunDirectory) -> str:
        """Key of the picture that a run learns: on the shelf already, or its own copy put there."""
        source = run.origin.get("source")
        if source is None:  # the built-in one, which may still be on its way to the shelf
            return "mona-lisa"
        for key, one in self.pictures.items():
            if one.source == source and not key.startswith("run:"):
                return key
        key, copy = f"run:{run.name}", run.file("target.png")
        png, width, height = picture_of(run, "target.png")
        title = safe_name(source)
        # Its own copy, and no file that origin.json may name: no path out of a run is followed.
        shelved = Shelved(key, title, str(copy), title, png, width, height)
        self.pictures.pop(key, None)
        self.pictures[key] = shelved
        for old in [one for one in self.pictures if one.startswith("run:")][:-MOST_UPLOADS]:
            del self.pictures[old]
        return key

    def damaged(self) -> list[tuple[str, str]]:
        """Names of the folder's runs that cannot be opened, each with why, in a line."""
        nameless = "the name of its folder is no text: rename it"
        found = (
            (entry.name, entry.why or nameless)
            for entry in overview(self.out)
            if entry.why or not _encodable(entry.name)
        )
        return [(name.encode(errors="replace").decode(), why) for name, why in found]

    def runs(self, fresh: bool = False) -> dict[str, RunDirectory]:
        """Runs by name, oldest first; the folder is read again at most twice a second."""
        now = time.monotonic()
        if fresh or now - self._listed > 0.5:
            self._runs = {run.name: run for run in listing(self.out) if _encodable(run.name)} | self._extra
            self._listed = now
        return self._runs

    def run(self, name: str) -> RunDirectory:
        """The run of that name; RunError if there is none."""
        found = self.runs().get(name) or self.runs(fresh=True).get(name)
        if found is None:
            raise RunError("this run is not known here")
        if not found.folder.is_dir():
            raise RunError(f"{name} is not there any more\nhint: its folder was removed or renamed")
        return found


def _encodable(name: str) -> bool:
    """Whether a folder's name is text: on Linux it may be any bytes, which no address can hold."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def picture_of(run: RunDirectory, name: str) -> tuple[bytes, int, int]:
    """A picture that lies in a run, its width and its height; only its header is looked at.

    Raises RunError where there is none, it leads out of the run, is no PNG or JPEG, or is too large for a page.
    """
    try:
        content = read(run.folder, name, MOST_BYTES_KEPT)
    except FileNotFoundError as error:
        raise RunError(f"{run.name} holds no {name}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # what is too large is said below
            with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as image:
                width, height = image.size
    except Image.DecompressionBombError:
        width = height = 1 << 16
    except (OSError, ValueError, SyntaxError) as error:
        raise RunError(f"{run.name} is damaged: its {name} is no picture") from error
    if width * height > MOST_PIXELS:
        raise RunError(f"{name} of {run.name} has more than {MOST_PIXELS:,} pixels: too many for a page")
    return content, width, height


def safe_name(text: str) -> str:
    """A name for a run from a file's name: letters, digits, dots and dashes, at most 40."""
    stem = PurePosixPath(text.replace("\\", "/")).stem
    return "".join(c if c.isalnum() or c in "-." else "-" for c in stem)[:40].strip("-.") or "picture"
