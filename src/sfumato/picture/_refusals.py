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

BOMB = 1 << 25, 4096  # more pixels than the first, and more of them to a byte of the file than the second
WEBP_SIDE = 16_383  # RFC 9649, section 2.5; the canvas of an animation may be larger on paper

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

NOT_READ = {
    b"\0\0\1\0": "an icon of Windows",
    b"\0\0\2\0": "a cursor of Windows",
    b"icns": "an icon of macOS",
    b"8BPS": "a file of Photoshop",
    b"gimp xcf": "a file of GIMP",
    b"\0\0\0\x0cjP  ": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
    b"\0\0\0\x0cJXL ": "a JPEG XL",
    b"\xff\x0a": "a JPEG XL",
    b"II\xbc": "a JPEG XR",
    b"v/1\1": "an OpenEXR file",
    b"#?": "a Radiance HDR file",
    b"P7\n": "a PAM",
    b"PF\n": "a PFM in colour",
    b"DDS ": "a DDS texture",
    b"qoif": "a QOI",
    b"%PDF": "a PDF",
    b"SIMPLE  =": "a FITS file",
}
FRAMES = {  # third digit of JPEG's start-of-frame marker (ITU-T T.81, table B.1)
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "without loss"),
    **dict.fromkeys((0xC5, 0xC6), "in layers of resolution"),
    **dict.fromkeys((0xC9, 0xCA, 0xCD, 0xCE), "in arithmetic coding"),
    0xF7: "of the kind JPEG-LS",
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
    if isinstance(error, OSError) and error.errno:  # the disk's error; Pillow's own carry no number
        return refusal(path, f"cannot be read: {error.strerror or error}", "check the disk, or copy the file")
    file.seek(0)
    if file.read(3) == b"\xff\xd8\xff" and (kind := _jpeg_kind(file)):
        return refusal(
            path, f"is a JPEG {kind}, which is not read here", "save it again as a baseline JPEG or PNG"
        )
    if isinstance(error, UnidentifiedImageError):
        return _unknown(path, file)
    if isinstance(error, MemoryError):
        return refusal(path, "does not fit into memory", "make it smaller first")
    reason = (str(error) or type(error).__name__).splitlines()[0][:120]
    if re.search(r"(?i)unsupported|not (yet )?supported|cannot handle", reason):
        return refusal(path, f"is of a kind that is not read here: {reason}", "save it again as PNG")
    return refusal(path, f"is truncated or damaged: {reason}", "download or export it again")


def refusal(path: Path, what: str, hint: str = "") -> PictureError:
    """What, where, hint."""
    lines = [f"picture {path.name or str(path)!r} {what}", f"in: {folder_of(path)}"]
    return PictureError("\n".join([*lines, f"hint: {hint}"] if hint else lines))


def too_large(path: Path, size: str) -> PictureError:
    """The refusal of a decompression bomb, or of an honest giant."""
    return refusal(path, f"is too large to open: {size}, more than {LARGEST:,}", "make it smaller first")


def check_size(size: tuple[int, int], file: BinaryIO, path: Path) -> None:
    """Refuses what is too large to open: an honest giant, or a bomb.

    A solid 1-bit PNG has 8,000 pixels to a byte, a solid colour one 340, photographs have ten.
    """
    count, length = size[0] * size[1], file.seek(0, os.SEEK_END)
    file.seek(0)
    shown = f"{size[0]}x{size[1]} = {count:,} pixels"
    if count > LARGEST:
        raise too_large(path, shown)
    if count > BOMB[0] and count > BOMB[1] * length:
        what = f"is too large to open: {shown} out of {length:,} bytes, as only bombs have"
        raise refusal(path, what, "make it smaller first")


def check_header(file: BinaryIO, path: Path) -> None:
    """Refuses what must not reach Pillow.

    A WebP of any canvas, for which it takes memory on opening; the alpha of a 16-bit BMP, which it passes over.
    """
    file.seek(0)
    start = file.read(70)
    file.seek(0)
    if start[:2] == b"BM" and start[28:34] == b"\x10\0\3\0\0\0" and start[14] >= 56 and any(start[66:70]):
        raise refusal(path, "is a BMP of 16 bits with alpha, which is not read here", "save it again as PNG")
    if start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X" and len(start) >= 30:
        width, height = (1 + int.from_bytes(start[at : at + 3], "little") for at in (24, 27))
        if max(width, height) > WEBP_SIDE:
            what = f"is too large to open: {width}x{height} pixels, and a WebP ends at {WEBP_SIDE:,} a side"
            raise refusal(path, what, "make it smaller first")
        check_size((width, height), file, path)


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
    for magic, kind in NOT_READ.items():
        if start.startswith(magic):
            return refusal(path, f"is {kind}, which is not read here", "save it again as PNG")
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


def _jpeg_kind(file: BinaryIO) -> str:
    """What is rare in a JPEG, by its first start-of-frame marker; nothing where it is an ordinary one."""
    file.seek(2)
    while (head := file.read(4)) and len(head) == 4 and head[0] == 0xFF:
        marker, length = head[1], int.from_bytes(head[2:], "big")
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:
            body = file.read(6).ljust(6, b"\0")
            if marker in FRAMES:
                return FRAMES[marker]
            if body[0] != 8:
                return f"of {body[0]} bits a sample"
            return f"of {body[5]} channels" if body[5] not in (1, 3, 4) else ""
        file.seek(max(length, 2) - 2, os.SEEK_CUR)
    return ""


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
