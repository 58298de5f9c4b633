"""Damaged and arbitrary bytes give a Picture or a PictureError: no other exception, warning, output or hang."""

from __future__ import annotations

import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiff_files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from sfumato.errors import MissingExtra, PictureError, RecipeError
from sfumato.picture import Picture, _refusals, _tiff, encode, from_array, load, parse_size, resize, save

# 60 examples of 24x20 pixels take well under a second a format; no deadline, as a shared machine stalls at times.
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def originals() -> dict[str, bytes]:
    """One valid file of every kind that is read, most of them with a profile, EXIF or several frames."""
    y, x = np.mgrid[0:20, 0:24]
    rgb = np.stack([10 * x, 12 * y, (x * y) % 251], axis=2).astype(np.uint8)
    colour = Image.fromarray(rgb)
    deep = Image.fromarray(rgb[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = bytes(16) + b"RGB " + bytes(16) + b"acsp" + bytes(120)

    def frames() -> dict[
        str, object
    ]:  # new ones each time: Pillow leaves an encoder's settings on what it saved
        return {"save_all": True, "append_images": [colour.rotate(90), colour.rotate(180)]}

    every: dict[str, tuple[Image.Image, str, dict[str, object]]] = {
        "jpeg": (colour, "JPEG", {"exif": exif, "icc_profile": profile}),
        "progressive jpeg": (colour, "JPEG", {"progressive": True}),
        "grey jpeg": (colour.convert("L"), "JPEG", {}),
        "cmyk jpeg": (colour.convert("CMYK"), "JPEG", {"icc_profile": profile}),
        "mpo": (colour, "MPO", frames()),
        "png": (colour, "PNG", {"exif": exif, "icc_profile": profile}),
        "alpha png": (colour.convert("RGBA"), "PNG", {}),
        "palette png": (colour.quantize(16), "PNG", {"transparency": 3}),
        "16-bit png": (deep, "PNG", {}),
        "1-bit png": (colour.convert("1"), "PNG", {}),
        "animated png": (colour, "PNG", frames()),
        "gif": (colour, "GIF", {"transparency": 3}),
        "animated gif": (colour, "GIF", frames() | {"disposal": 2}),
        "webp": (colour, "WEBP", {"exif": exif, "icc_profile": profile}),
        "lossless webp": (colour.convert("RGBA"), "WEBP", {"lossless": True}),
        "animated webp": (colour, "WEBP", frames()),
        "tiff": (colour, "TIFF", {"exif": exif, "icc_profile": profile}),
        "lzw tiff": (colour, "TIFF", {"compression": "tiff_lzw"}),
        "deflate tiff": (deep, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "jpeg tiff": (colour, "TIFF", {"compression": "jpeg"}),
        "fax tiff": (colour.convert("1"), "TIFF", {"compression": "group4"}),
        "float tiff": (Image.fromarray(rgb[..., 0].astype(np.float32)), "TIFF", {}),
        "many-page tiff": (colour, "TIFF", frames()),
        "bmp": (colour, "BMP", {}),
        "palette bmp": (colour.quantize(16), "BMP", {}),
        "ppm": (colour, "PPM", {}),
        "plain pgm": (colour.convert("L"), "", {}),
    }
    Image.init()
    if "AVIF" in Image.SAVE:
        every["avif"] = colour, "AVIF", {"exif": exif}
    files = {}
    for name, (image, kind, options) in every.items():
        buffer = io.BytesIO()
        if kind:
            image.copy().save(buffer, kind, **options)
        else:
            buffer.write(b"P2 24 20 255\n" + b" ".join(str(v).encode() for v in rgb[..., 0].ravel().tolist()))
        files[name] = buffer.getvalue()
    ramp = rgb.astype(np.float32) / 255
    files["float rgb tiff"] = tiff_files.plain(ramp)
    layout = tiff_files.Layout(2, planar=True, extra=(2,), compression="deflate")
    files["planar tiff"] = tiff_files.tiff(layout, rgb[..., :2])
    return files


ORIGINALS = originals()


@pytest.fixture(autouse=True)
def small_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flipped bit in a header asks for millions of pixels: refused here from 2 million on, to stay quick."""
    for module in (_tiff, _refusals):
        monkeypatch.setattr(module, "LARGEST", 1 << 21)


@pytest.fixture
def path() -> Iterator[Path]:
    """A file to be overwritten by each example."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "any.png"


def outcome(path: Path, content: bytes, *, alpha: bool = False) -> Picture | None:
    """The picture of these bytes, checked, or None where they are refused, with the refusal checked."""
    path.write_bytes(content)
    try:
        found = load(path, alpha=alpha, max_pixels=10_000)
    except (
        PictureError,
        MissingExtra,
    ) as error:  # a flipped bit may ask for a codec of TIFF that is not here
        assert 2 <= len(str(error).split("\n")) <= 3
        assert re.match(r"picture 'any\.png' \S", str(error))
        return None
    assert found.values.dtype == np.float32 and found.values.flags.c_contiguous
    assert found.values.min() >= 0 and found.values.max() <= 1 and found.height * found.width <= 10_000
    assert found.channels == 4 if alpha else found.channels in (1, 3)
    assert all("\n" not in note for note in found.notes)
    return found


@pytest.mark.parametrize("kind", ORIGINALS)
def test_originals_are_pictures(path: Path, kind: str) -> None:
    found = outcome(path, ORIGINALS[kind])
    assert found is not None and {found.height, found.width} == {20, 24}


@pytest.mark.parametrize("kind", ORIGINALS)
def test_damaged_files_are_pictures_or_refused(
    path: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = ORIGINALS[kind]
    near_start = st.integers(0, min(len(whole), 200) - 1)  # where headers are, and where damage does most
    place = near_start | st.integers(0, len(whole) - 1)

    @quick
    @given(
        flips=st.lists(st.tuples(place, st.integers(0, 255)), max_size=8),
        end=st.none() | place,
        alpha=st.booleans(),
    )
    def check(flips: list[tuple[int, int]], end: int | None, alpha: bool) -> None:
        content = bytearray(whole)
        for index, byte in flips:
            content[index] = byte
        outcome(path, bytes(content[:end]), alpha=alpha)

    check()
    assert capfd.readouterr() == ("", "")  # the C libraries print on their own if they are let


@pytest.mark.parametrize("kind", ORIGINALS)
def test_every_shortening_by_half_is_refused_or_whole(path: Path, kind: str) -> None:
    """A file cut in the middle of its first picture never comes back as if nothing had happened."""
    whole = ORIGINALS[kind]
    if outcome(path, whole[: len(whole) // 2]) is not None:
        assert kind in {"mpo", "animated gif", "animated png", "animated webp", "many-page tiff"}, (
            "first frame only"
        )


@quick
@given(
    start=st.sampled_from([b"", *(content[:16] for content in ORIGINALS.values())]),
    rest=st.binary(max_size=400),
)
def test_random_bytes_are_pictures_or_refused(path: Path, start: bytes, rest: bytes) -> None:
    outcome(path, start + rest)


@quick
@given(
    name=st.text(
        st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40
    )
)
def test_any_file_name_works_or_is_refused(name: str) -> None:
    image = from_array(np.zeros((2, 3)))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / (name + ".png")
        save(image, place)
        assert load(place).values.shape == (2, 3, 1)
        with pytest.raises(PictureError) as caught:
            load(Path(folder) / "none" / name)
        assert len(str(caught.value).split("\n")) <= 3


@quick
@given(text=st.text(max_size=60) | st.from_regex(r"[a-z]{2,6}:/{0,3}.*", fullmatch=True))
def test_any_text_as_a_path_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PictureError) as caught:
        load(text if not text.startswith("/") else "." + text)
    assert len(str(caught.value).split("\n")) <= 3


@quick
@given(text=st.text(max_size=20) | st.from_regex(r"\s?[0-9]{0,8}[xX×][0-9]{0,8}", fullmatch=True))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    try:
        width, height = parse_size(text)
    except RecipeError:
        return
    assert 1 <= width < 1_000_000 and 1 <= height < 1_000_000


@quick
@given(
    data=st.data(), height=st.integers(1, 12), width=st.integers(1, 12), channels=st.sampled_from([1, 3, 4])
)
def test_any_picture_survives_png_and_any_resize_stays_in_range(
    data: st.DataObject, height: int, width: int, channels: int
) -> None:
    count = height * width * channels
    levels = np.frombuffer(data.draw(st.binary(min_size=count, max_size=count)), np.uint8)
    image = from_array(levels.reshape(height, width, channels))
    stored = np.asarray(Image.open(io.BytesIO(encode(image, "png"))))
    assert np.array_equal(stored.ravel(), levels)
    method = data.draw(st.sampled_from(["box", "lanczos", "nearest"]))
    target = data.draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    resized = resize(image, *target, method).values
    assert resized.shape == (*target, channels) and resized.min() >= 0 and resized.max() <= 1
