"""PNG written piece by piece: what Pillow reads back is what was given, however the rows were cut."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sfumato.picture import png
from sfumato.picture.png import Levels, Scanlines

MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def written(pixels: Levels, cuts: list[int], icc: bytes | None = None) -> bytes:
    """The file of these pixels, handed over in bands that end at `cuts`."""
    file = io.BytesIO()
    lines = Scanlines(file, *pixels.shape, icc=icc)
    for top, bottom in zip([0, *cuts], [*cuts, len(pixels)], strict=True):
        lines.add(pixels[top:bottom])
    lines.close()
    return file.getvalue()


@given(
    st.sampled_from([1, 3, 4]),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 1 << 30),
    st.sets(st.integers(1, 8)),
)
def test_any_picture_comes_back_from_any_bands(
    channels: int, height: int, width: int, seed: int, cuts: set[int]
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    file = written(pixels, sorted(cut for cut in cuts if cut < height))
    assert file == written(pixels, []), "how rows are cut is not seen"
    with Image.open(io.BytesIO(file)) as image:
        assert image.mode == MODES[channels]
        assert np.array_equal(np.asarray(image).reshape(pixels.shape), pixels)


def test_each_filter_is_taken_where_it_is_best() -> None:
    """Rows that one filter alone turns into zeros: none for black, sub for a constant, up for a copy of the row
    above, average and Paeth for what they predict."""
    width = 12
    noise = np.random.default_rng(3).integers(60, 190, width).astype(np.int64)
    average, paeth = np.zeros(width, np.int64), np.zeros(width, np.int64)
    for x in range(width):
        left = average[x - 1] if x else 0
        average[x] = (left + noise[x]) // 2 + (5 if x == 0 else 0)
    for x in range(width):
        a, b, c = (paeth[x - 1], average[x], average[x - 1]) if x else (0, average[x], 0)
        guess = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
        paeth[x] = guess + (7 if x == 0 else 0)
    rows = [np.zeros(width), np.full(width, 200), noise, noise, average, paeth]
    pixels = np.array(rows).astype(np.uint8)[..., None]
    file = written(pixels, [3])
    at = file.index(b"IDAT")
    size = int.from_bytes(file[at - 4 : at], "big")
    raw = np.frombuffer(zlib.decompress(file[at + 4 : at + 4 + size]), np.uint8).reshape(6, 1 + width)
    kinds = raw[:, 0].tolist()
    assert (kinds[0], kinds[1], kinds[3], kinds[4], kinds[5]) == (0, 1, 2, 3, 4)
    assert raw[3, 1:].sum() == 0 and np.count_nonzero(raw[4, 1:]) == 1 and np.count_nonzero(raw[5, 1:]) == 1


def test_a_large_picture_is_many_chunks_of_sound_length() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    file = written(pixels, [100, 200])
    kinds, at = [], 8
    while at < len(file):
        size = int.from_bytes(file[at : at + 4], "big")
        kinds.append(file[at + 4 : at + 8])
        body = file[at + 4 : at + 8 + size]
        assert zlib.crc32(body) == int.from_bytes(file[at + 8 + size : at + 12 + size], "big")
        at += 12 + size
    assert kinds[0] == b"IHDR" and kinds[-1] == b"IEND" and kinds.count(b"IDAT") > 1


def test_a_profile_travels() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    with Image.open(io.BytesIO(written(np.zeros((2, 2, 3), np.uint8), [], profile))) as image:
        assert image.info["icc_profile"] == profile


def test_the_end_chunk_is_that_of_the_specification() -> None:
    assert png.chunk(b"IEND", b"") == bytes.fromhex("00000000 49454e44 ae426082")


@pytest.mark.parametrize("text", ["", "layer 1, naïve — and an em dash"])
def test_a_palette_picture_shows_the_palettes_colours_and_its_comment(text: str) -> None:
    palette = np.arange(256 * 3, dtype=np.int64).reshape(256, 3).astype(np.uint8)
    indices = np.array([[3, 200, 7], [0, 255, 1]], np.uint8)
    rows = np.pad(indices, ((0, 0), (1, 0)))  # each led by filter 0
    file = png.palette_header(2, 3, palette, text=text)
    file += png.chunk(b"IDAT", zlib.compress(rows.tobytes())) + png.chunk(b"IEND", b"")
    with Image.open(io.BytesIO(file)) as image:
        assert image.size == (3, 2)
        assert np.array_equal(np.asarray(image.convert("RGB")), palette[indices])
        assert image.info.get("Comment", "") == text.replace("—", "?")
