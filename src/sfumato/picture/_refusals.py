"""Opening a file, or saying in one to three lines why it is no picture. Knows nothing of pixels."""

from __future__ import annotations

import difflib
import itertools
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from ..errors import PictureError

LARGEST = 1 << 28  # pixels; 16384 x 16384 take 1 GiB as RGB inside Pillow. What is larger is taken for a bomb

READ = ("JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF")  # no EPS: it would start Ghostscript
MAGIC = {
    b"\x89PNG": "a PNG",
    b"\xff\xd8\xff": "a JPEG",
    b"GIF8": "a GIF",
    b"II*\0": "a TIFF",
    b"MM\0*": "a TIFF",
    b"RIFF": "a WebP",
    b"BM": "a BMP",
}

# Pillow's TIFF reader logs errors, which Python prints to stderr where nobody has set logging up.
logging.getLogger("PIL").addHandler(logging.NullHandler())
_PILLOW = (
    threading.RLock()
)  # warning filters and Pillow's limit are global: one thread at a time changes them


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, opened for reading; PictureError says why not."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            inside = _names_in(path)
            hint = f"name a file in it, such as {inside[0]!r}" if inside else "name a picture file"
            raise refusal(path, "is a folder, not a file", hint)
        if not stat.S_ISREG(mode):  # a pipe or a device may never end
            raise refusal(path, "is not a regular file", "copy it to a file first")
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _missing(path) from error
    except PermissionError as error:
        raise refusal(path, "cannot be read: permission denied", "check its owner and mode") from error
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        raise refusal(path, f"cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    with file:
        yield file


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Inside, no warning of Pillow's escapes, and its own limit on pixels is LARGEST."""
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, LARGEST
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


@contextmanager
def quiet_libtiff() -> Iterator[None]:
    """No line of libtiff's reaches the terminal: it writes to descriptor 2, which Pillow cannot stop.

    What other threads write there meanwhile is lost, so this stands around one `load` and nothing else.
    """
    try:
        kept = os.dup(2)
    except OSError:  # a process without stderr has nothing to keep quiet
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def explained(error: Exception, path: Path, file: BinaryIO) -> PictureError:
    """What a reader's exception means for the user."""
    if isinstance(error, Image.DecompressionBombError):
        count = re.search(r"\d+", str(error))
        return too_large(path, f"{int(count[0]):,} pixels" if count else "too many pixels")
    if isinstance(error, UnidentifiedImageError):
        return _unknown(path, file)
    if isinstance(error, MemoryError):
        return refusal(path, "does not fit into memory", "make it smaller first")
    reason = (str(error) or type(error).__name__).splitlines()[0][:120]
    return refusal(path, f"is truncated or damaged: {reason}", "download or export it again")


def refusal(path: Path, what: str, hint: str = "") -> PictureError:
    """What, where, hint."""
    lines = [f"picture {path.name or str(path)!r} {what}", f"in: {folder_of(path)}"]
    return PictureError("\n".join([*lines, f"hint: {hint}"] if hint else lines))


def too_large(path: Path, size: str) -> PictureError:
    """The refusal of a decompression bomb, or of an honest giant."""
    return refusal(path, f"is too large to open: {size}, more than {LARGEST:,}", "make it smaller first")


def folder_of(path: Path) -> str:
    """Where a path lies, on one line and ending in a slash."""
    return repr(str(path.parent))[1:-1].rstrip("/") + "/"


def _missing(path: Path) -> PictureError:
    folder = folder_of(path)
    if not path.parent.is_dir():
        return PictureError(f"picture {path.name!r} not found\nlooked in: {folder}, which is no folder")
    names = _names_in(path.parent)
    lower = {Path(name).stem.lower(): name for name in names} | {name.lower(): name for name in names}
    near = difflib.get_close_matches(path.name.lower(), lower, n=1, cutoff=0.6)
    near = near or difflib.get_close_matches(path.stem.lower(), lower, n=1, cutoff=0.8)
    hint = f"\nhint: did you mean {lower[near[0]]!r}?" if near else ""
    return PictureError(f"picture {path.name!r} not found\nlooked in: {folder}{hint}")


def _unknown(path: Path, file: BinaryIO) -> PictureError:
    """Why no reader took the file, from its first bytes."""
    file.seek(0)
    start = file.read(256)
    if not start:
        return refusal(path, "is an empty file", "download or export it again")
    for magic, kind in MAGIC.items():
        if start.startswith(magic):
            what = f"starts like {kind} but cannot be read: damaged, or of a rare kind"
            return refusal(path, what, "export it again, with 8 bits a channel")
    if start[4:12] == b"ftypavif":
        return refusal(path, "starts like an AVIF but cannot be read", "export it as JPEG or PNG")
    if b"<svg" in start:
        return refusal(path, "is an SVG drawing, not pixels", "export it as PNG first")
    if start[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return refusal(path, "is a HEIC photo, which is not read here", "export it as JPEG or PNG first")
    if not re.search(rb"[^\t\n\r\x20-\x7e]", start):
        return refusal(path, "holds text, not a picture", "a download may have saved a page instead")
    return refusal(path, "is of no known picture type", f"readable are {', '.join(READ)}")


def _names_in(folder: Path) -> list[str]:
    """Picture files of a folder by name, or none where it cannot be listed; looks at 10,000 entries at most."""
    try:
        with os.scandir(folder) as entries:
            found = [entry.name for entry in itertools.islice(entries, 10_000)]
    except OSError:
        return []
    Image.init()
    suffixes = Image.registered_extensions()
    return sorted(name for name in found if suffixes.get(Path(name).suffix.lower()) in READ)
