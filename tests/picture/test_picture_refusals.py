"""What is no picture is refused in one to three lines that say what, where, and what to do."""

from __future__ import annotations

import errno
import io
import os
import struct
import warnings
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import AVIF, levels, noise, png, write
from PIL import Image

from sfumato.errors import PictureError, RecipeError
from sfumato.picture import from_array, load, save


@pytest.fixture
def put(tmp_path: Path) -> Any:
    """`write` into the test's own folder."""
    return partial(write, tmp_path)


def refusal(path: str | Path, **options: Any) -> str:
    with pytest.raises(PictureError) as caught:
        load(path, **options)
    lines = str(caught.value).split("\n")
    assert 1 <= len(lines) <= 3 and all(lines)
    return str(caught.value)


def test_missing_file_names_the_near_miss(put: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put("mona.jpg", Image.new("RGB", (2, 2)))
    put("Mona.txt", b"no picture is suggested that is none")
    monkeypatch.chdir(tmp_path)
    expected = "picture {} not found\nlooked in: ./\nhint: did you mean 'mona.jpg'?"
    for name in ("mona.jgp", "mona.png", "mona", "MONA.JPG", "moan.jpg"):
        assert refusal(name) == expected.format(repr(name))
    assert refusal("starry-night.png") == "picture 'starry-night.png' not found\nlooked in: ./"
    assert (
        refusal("nowhere/mona.jpg") == "picture 'mona.jpg' not found\nlooked in: nowhere/, which is no folder"
    )
    assert "looked in: mona.jpg/, which is no folder" in refusal("mona.jpg/mona.jpg")


def test_folders_pipes_and_unreadable_files_are_refused(
    put: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is a folder" in refusal(tmp_path) and "name a picture file" in refusal(tmp_path)
    path = put("a.png", Image.new("L", (2, 2)))
    assert refusal(tmp_path).endswith("hint: name a file in it, such as 'a.png'")
    os.mkfifo(tmp_path / "pipe.png")
    assert "is not a regular file" in refusal(tmp_path / "pipe.png")
    assert "null byte" in refusal("a\0.png")
    assert "cannot be opened" in refusal("x" * 5000 + ".png")

    def forbid(*_: Any, **__: Any) -> None:  # root reads everything, so the mode bits prove nothing here
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    assert "cannot be read: permission denied" in refusal(path)


@pytest.mark.parametrize(
    "address",
    ["http://example.org/a.png", "https://a.b/c.jpg", "file:///a.png", "s3://bucket/a", "data:image/png;x"],
)
def test_addresses_are_refused(address: str) -> None:
    assert refusal(address) == f"picture {address!r} is an address, not a file\nhint: download it first"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is an empty file"),
        (b"hello, this is no picture\n", "holds text"),
        (b"<!doctype html><html>", "holds text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is an SVG drawing"),
        (b"\0\0\0\x18ftypheic" + bytes(20), "is a HEIC photo"),
        (b"\x89PNG\r\n\x1a\n", "starts like a PNG"),
        (b"II*\0" + bytes(30), "its header names no width"),
        (bytes(range(1, 200)), "is of no known picture type"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "holds text"),
        (b"P6 0 5 255\n", ""),
    ],
)
def test_what_is_no_picture_is_refused_by_what_it_is(put: Any, content: bytes, says: str) -> None:
    assert says in refusal(put("a.png", content))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp", "a.bmp", "a.ppm", *AVIF])
def test_truncated_files_are_refused(put: Any, name: str) -> None:
    path = put(name, Image.fromarray(noise(64, 64, 3)))
    whole = path.read_bytes()
    for part in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(len(whole) * part)])
        assert "truncated or damaged" in (message := refusal(path)) or "but cannot be read" in message
    assert "\nhint: " in message


def test_content_decides_and_not_the_name(put: Any) -> None:
    values = noise(4, 6, 3)
    found = load(put("a.jpg", Image.fromarray(values), format="PNG"))
    assert np.array_equal(levels(found), values)
    assert found.notes == ("read as PNG, though its name ends in .jpg",)
    assert load(put("noname", Image.fromarray(values), format="PNG")).notes == ()


def test_bombs_are_refused_with_their_size_and_before_they_are_decoded(put: Any) -> None:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    bomb = png(np.zeros((1, 3), np.uint8), 2, 8)
    chunk = b"IHDR" + header
    bomb = bomb[:12] + chunk[:] + struct.pack(">I", zlib.crc32(chunk)) + bomb[33:]
    message = refusal(put("a.png", bomb))
    assert message.startswith("picture 'a.png' is too large to open: 20000x20000 = 400,000,000 pixels")
    huge = bomb.replace(header[:8], struct.pack(">II", 60_000, 60_000))
    chunk = huge[12:29]
    message = refusal(put("b.png", huge[:29] + struct.pack(">I", zlib.crc32(chunk)) + huge[33:]))
    assert message.startswith("picture 'b.png' is too large to open: 3,600,000,000 pixels")


def test_pillows_limit_and_warning_filters_come_back(put: Any) -> None:
    before = Image.MAX_IMAGE_PIXELS
    filters = list(warnings.filters)
    load(put("a.png", Image.new("L", (2, 2))))
    refusal(put("b.png", b""))
    assert before == Image.MAX_IMAGE_PIXELS and filters == list(warnings.filters)


def test_options_out_of_range_are_refused(put: Any) -> None:
    path = put("a.png", Image.new("LA", (2, 2)))
    with pytest.raises(RecipeError, match="max_pixels=0"):
        load(path, max_pixels=0)
    for background in [(1, 1), (2, 0, 0), (float("nan"), 0, 0)]:
        with pytest.raises(RecipeError, match="is not a colour"):
            load(path, background=background)


@pytest.mark.parametrize(
    "name", ["ein Bild.png", "モナ・リザ.png", 'it\'s "quoted".png', "new\nline.png", "-x.png"]
)
def test_odd_names_work_and_stay_on_one_line(put: Any, tmp_path: Path, name: str) -> None:
    assert load(put(name, Image.new("L", (2, 2)))).name == Path(name).stem
    save(from_array(np.zeros((2, 2))), tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    refusal(tmp_path / name)
    refusal(tmp_path / name / name)


def test_a_disk_that_cannot_read_a_picture_is_told_as_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An I/O error in the middle of a picture was told as output that cannot be written."""
    path = tmp_path / "a.png"
    Image.new("RGB", (3, 2)).save(path)

    class Broken(io.BytesIO):
        def read(self, count: int | None = -1, /) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "open", lambda *_: Broken(b""))
    with pytest.raises(PictureError, match=r"picture 'a.png' cannot be read: Input/output error"):
        load(path)
