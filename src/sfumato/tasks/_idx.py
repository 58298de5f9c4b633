"""Sets of small grey pictures in IDX files: MNIST, Fashion-MNIST and KMNIST; read, checked, and fetched if need be.

An IDX file is a big-endian header (magic, count and, for pictures, rows and columns: 32 bits each) and then the
bytes. Nothing of a file is used before all of it has been checked.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import MissingExtra, TaskError

__all__ = ["SETS", "Absent", "Pictures", "Source", "fetch", "read", "read_images", "read_labels"]

Bytes = npt.NDArray[np.uint8]

FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}

LARGEST = 1 << 28
"""Bytes, 256 MB: what a file may hold when unpacked; MNIST's largest holds 47 MB."""


class Absent(TaskError):
    """Files that are not there and cannot be fetched, as against files that are wrong."""


@dataclass(frozen=True)
class Pictures:
    """A set as its files have it: pictures uint8 (N, rows, columns), 0 = background; labels uint8 (N,)."""

    train_images: Bytes
    train_labels: Bytes
    test_images: Bytes
    test_labels: Bytes


@dataclass(frozen=True)
class Source:
    """Where a set comes from and how it is known to be right.

    mirrors: addresses to which `<file>.gz` is appended. sha256: of each file. unpacked: whether those are of the
    unpacked bytes, so that a file compressed anew is accepted, or of the published .gz. counts: pictures for
    training and for testing.
    """

    mirrors: tuple[str, ...]
    sha256: Mapping[str, str]
    unpacked: bool
    classes: tuple[str, ...]
    counts: tuple[int, int] = (60_000, 10_000)


def _hashes(*values: str) -> dict[str, str]:
    return dict(zip(FILES.values(), values, strict=True))


SETS: dict[str, Source] = {
    "mnist": Source(
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        _hashes(
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
        True,
        tuple("0123456789"),
    ),
    # Hashes of the published .gz, as several public dataset loaders give them.
    "fashion": Source(
        (
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "https://fashion-mnist.s3.eu-central-1.amazonaws.com/",
        ),
        _hashes(
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
        False,
        ("top", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
    ),
    "kmnist": Source(
        (
            "https://codh.rois.ac.jp/kmnist/dataset/kmnist/",
            "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        ),
        _hashes(
            "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
        ),
        False,
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
    ),
}


def read(name: str) -> tuple[Pictures, tuple[str, ...]]:
    """The set `name` and lines worth saying about it.

    Its files are read from `$SFUMATO_DATA/<name>/` if that variable is set, and nothing is fetched then; else
    they are fetched once into the user's cache. Raises Absent if they cannot be had, TaskError if one is wrong,
    MissingExtra if fetching needs pooch and it is not installed.
    """
    source = SETS[name]
    root = os.environ.get("SFUMATO_DATA")
    notes: tuple[str, ...] = ()
    if root:
        paths = {file: _local(Path(root) / name, file) for file in FILES.values()}
        wrong = [path.name for file, path in paths.items() if not _known(path, source, file)]
        if wrong and source.unpacked:
            raise TaskError(
                f"{paths[FILES['train_images']].parent / wrong[0]} is not the published file: its SHA-256 differs"
                f"\nhint: replace it, or unset SFUMATO_DATA to fetch {name}"
            )
        if wrong:
            text = f"{name}: {len(wrong)} of 4 files are not byte for byte the published .gz"
            notes = (f"{text}; only their structure was checked",)
    else:
        paths = {file: fetch(name, file) for file in FILES.values()}
    parts = {
        part: read_images(paths[file]) if part.endswith("images") else read_labels(paths[file])
        for part, file in FILES.items()
    }
    pictures = Pictures(**parts)
    for kind, expected in zip(("train", "test"), source.counts, strict=True):
        images, labels = parts[f"{kind}_images"], parts[f"{kind}_labels"]
        if len(images) != len(labels) or len(images) != expected:
            raise TaskError(
                f"{name}: {len(images):,} pictures and {len(labels):,} labels for {kind}, expected {expected:,}"
            )
        if labels.max() >= len(source.classes):
            raise TaskError(f"{name}: a label is {labels.max()}, classes are 0 ... {len(source.classes) - 1}")
    if pictures.train_images.shape[1:] != pictures.test_images.shape[1:]:
        raise TaskError(f"{name}: pictures for training and for testing differ in size")
    return pictures, notes


def fetch(name: str, file: str) -> Path:
    """The path of `<file>.gz` in the user's cache, fetched from the first mirror that has the right one.

    A partial or wrong download is deleted. Raises Absent if no mirror has it, MissingExtra without pooch.
    """
    try:
        import pooch
    except ImportError as error:
        raise MissingExtra(
            f"{name} has to be downloaded, and the extra 'data' is missing\nhint: pip install 'sfumato[data]'"
        ) from error
    source = SETS[name]
    folder = Path(pooch.os_cache("sfumato")) / name
    kept = folder / f"{file}.gz"
    if kept.exists() and _known(kept, source, file):
        return kept
    pooch.get_logger().setLevel("WARNING")
    reasons = []
    for mirror in source.mirrors:
        kept.unlink(missing_ok=True)
        try:
            # pooch writes to a temporary name; the hash is checked here, as it may be that of the unpacked bytes.
            pooch.retrieve(
                f"{mirror}{kept.name}", None, kept.name, folder, downloader=pooch.HTTPDownloader(timeout=30)
            )
            if _known(kept, source, file):
                return kept
            reasons.append(f"{mirror} has another file of that name")
        except (OSError, ValueError) as error:
            reasons.append(f"{mirror}: {type(error).__name__}")
    kept.unlink(missing_ok=True)
    raise Absent(
        f"{name}: {kept.name} cannot be downloaded ({'; '.join(reasons)})\n"
        f"hint: put the four .gz files into FOLDER/{name} and set SFUMATO_DATA=FOLDER"
    )


def read_images(path: Path) -> Bytes:
    """Pictures of an IDX file, plain or .gz: uint8 (N, rows, columns). TaskError unless all of it is right."""
    body = _unpack(path)
    if len(body) < 16:
        raise TaskError(f"{path} is cut short: {len(body)} bytes, and the header alone has 16")
    magic, count, rows, columns = struct.unpack(">IIII", body[:16])
    if magic != 2051:
        raise TaskError(f"{path} holds no pictures: its magic number is {magic}, not 2051")
    if not (count and 1 <= rows <= 1024 and 1 <= columns <= 1024):
        raise TaskError(f"{path} claims {count} pictures of {rows}x{columns}")
    _check_length(path, len(body), 16 + count * rows * columns)
    return np.frombuffer(body, np.uint8, offset=16).reshape(count, rows, columns)


def read_labels(path: Path) -> Bytes:
    """Labels of an IDX file, plain or .gz: uint8 (N,). TaskError unless all of it is right."""
    body = _unpack(path)
    if len(body) < 8:
        raise TaskError(f"{path} is cut short: {len(body)} bytes, and the header alone has 8")
    magic, count = struct.unpack(">II", body[:8])
    if magic != 2049:
        raise TaskError(f"{path} holds no labels: its magic number is {magic}, not 2049")
    if not count:
        raise TaskError(f"{path} holds no label at all")
    _check_length(path, len(body), 8 + count)
    return np.frombuffer(body, np.uint8, offset=8)


def _check_length(path: Path, found: int, expected: int) -> None:
    if found != expected:
        what = "is cut short" if found < expected else "goes on after its end"
        raise TaskError(f"{path} {what}: {found:,} bytes, its header asks for {expected:,}")


def _local(folder: Path, file: str) -> Path:
    for path in (folder / f"{file}.gz", folder / file):
        if path.is_file():
            return path
    raise Absent(
        f"{folder / file}.gz is missing\nhint: SFUMATO_DATA names the folder, so nothing is downloaded"
    )


def _known(path: Path, source: Source, file: str) -> bool:
    """Whether a file is the published one; False also for one that cannot be unpacked."""
    try:
        body = _unpack(path) if source.unpacked else path.read_bytes()
    except TaskError:
        return False
    return hashlib.sha256(body).hexdigest() == source.sha256[file]


def _unpack(path: Path) -> bytes:
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            body = file.read(LARGEST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TaskError(f"{path} is damaged or cut short: {error}") from error
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(body) > LARGEST:
        raise TaskError(f"{path} unpacks to more than {LARGEST:,} bytes")
    return body
