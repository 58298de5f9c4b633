"""Every layout of a TIFF comes in with its own values, or is refused by name."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from tiff_files import CMYK, GREY, PALETTE, RGB, SHAPES, Layout, contents, layouts, tiff, truth

from sfumato.errors import MissingExtra, PictureError
from sfumato.picture import Picture, load

LEVEL = 1.01 / 255


def bound(layout: Layout, notes: tuple[str, ...]) -> float:
    """How far a value may be from the stored one."""
    cut = any("read as 8-bit" in note for note in notes)
    if layout.photometric == CMYK:  # a product of two of 255 levels, rounded; of two that were cut to them
        return 2 * LEVEL if cut else 0.6 / 255
    if 1 in layout.extra and layout.bits in (8, 16) and layout.samples in (2, 4, 5):
        return 2 * LEVEL if cut else LEVEL  # divided by alpha in whole levels
    return LEVEL if cut else 2e-7  # float32 has 6e-8 at 1, and a mapped range is divided once more


def is_common(layout: Layout) -> bool:
    """What must be read and not only refused: grey or colour with or without alpha, by what is always installed."""
    colours = {GREY: 1, RGB: 3}.get(layout.photometric, 99)
    told = colours + len(layout.extra) == layout.samples and (colours == 3 or len(layout.extra) < 2)
    numbers = [("u", 8), ("u", 16), ("f", 32)] + [("u", 32)] * (1 not in layout.extra)
    packed = layout.compression in ("none", "deflate", "lzma") and layout.predictor < 3
    return told and packed and (layout.kind, layout.bits) in numbers


def check(path: Path, layout: Layout, height: int = 19, width: int = 21) -> Picture | None:
    """The picture of such a file, with the right values, or None where it is refused by name."""
    stored = contents(layout, height, width)
    path.write_bytes(tiff(layout, stored))
    expected = truth(layout, stored)
    try:
        found = load(path, alpha=bool({1, 2} & set(layout.extra)), max_pixels=None)
    except (PictureError, MissingExtra) as error:
        first, *others = str(error).split("\n")
        assert ("is a TIFF of" in first or "samples a pixel" in first) and others[-1].startswith("hint: "), (
            layout
        )
        assert not is_common(layout), (layout, first)
        return None
    if found.channels == 3 and expected.shape[2] == 1:  # a palette or a CMYK of greys
        expected = np.repeat(expected, 3, axis=2)
    assert found.values.shape == expected.shape, (layout, found.notes)
    assert np.abs(found.values - expected).max() <= bound(layout, found.notes), (layout, found.notes)
    return found


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_layout_is_right_or_refused_by_name(
    tmp_path: Path, shape: tuple[int, int, tuple[int, ...]]
) -> None:
    # Every 13th of some 2,000 for each shape keeps this to seconds; 13 divides no period of the list.
    for layout in layouts(*shape, stride=13):
        check(tmp_path / "a.tif", layout)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (16, 16), (17, 33)])
def test_any_size_is_read_in_strips_and_tiles(tmp_path: Path, size: tuple[int, int]) -> None:
    for base in (Layout(), Layout(3, 16, photometric=RGB), Layout(3, 32, "f", planar=True, photometric=RGB)):
        for layout in (base, replace(base, tiled=True, compression="deflate"), replace(base, rows=1)):
            assert check(tmp_path / "a.tif", layout, *size) is not None


def test_files_of_the_enumeration_mean_the_same_to_another_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for layout in layouts(RGB, 5, (2, 0), stride=11):
        stored = contents(layout, 19, 21)
        path.write_bytes(tiff(layout, stored))
        try:
            found = tifffile.imread(path)
        except (ValueError, ImportError, NotImplementedError):  # a codec that is not installed
            continue
        found = np.moveaxis(found, 0, -1) if layout.planar else found
        assert np.array_equal(found, stored.astype(found.dtype)), layout


@pytest.mark.parametrize(
    ("layout", "says"),
    [
        (Layout(kind="i"), "is a TIFF of 8-bit signed grey, uncompressed, for which no white is agreed"),
        (
            Layout(bits=16, kind="i", order=">", compression="lzw"),
            "16-bit signed grey, LZW, for which no white",
        ),
        (Layout(4, photometric=RGB), "has 4 samples a pixel and does not say what the last means"),
        (Layout(2), "has 2 samples a pixel and does not say what the second means"),
        (
            Layout(5, photometric=CMYK, extra=(2,)),
            "8-bit CMYK with alpha, uncompressed, of which only plain CMYK",
        ),
        (Layout(bits=16, photometric=PALETTE), "16-bit palette, uncompressed, which is not read here"),
        (Layout(2, 8, photometric=0, extra=(1,)), "8-bit grey with alpha, uncompressed, multiplied by it"),
        (Layout(photometric=8), "is a TIFF of CIE Lab colours, which are not read here"),
        (Layout(photometric=32803), "is a TIFF of raw camera values, which are not read here"),
        (Layout(photometric=77), "is a TIFF of colours of kind 77, which are not read here"),
        (Layout(3, photometric=6), "is a TIFF of 8-bit YCbCr, uncompressed, of which only JPEG is read here"),
    ],
    ids=str,
)
def test_what_is_not_supported_is_named(tmp_path: Path, layout: Layout, says: str) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(layout, contents(layout, 4, 5)))
    with pytest.raises(PictureError) as caught:
        load(tmp_path / "a.tif")
    assert says in str(caught.value) and "damaged" not in str(caught.value)


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        (((259, 3, (50001,)),), "is a TIFF compressed by WebP, which is not read here"),
        (((259, 3, (34712,)),), "is a TIFF compressed by JPEG 2000, which is not read here"),
        (((259, 3, (6,)),), "is a TIFF compressed by old-style JPEG, which is not read here"),
        (((259, 3, (12345,)),), "is a TIFF compressed by method 12345, which is not read here"),
        (((259, 3, (4,)),), "is a TIFF of 8-bit grey, CCITT, of which only one bit is read here"),
        (
            ((339, 3, (6,)),),
            "is a TIFF of 8-bit complex grey, uncompressed, which is no type that is read here",
        ),
        (
            ((339, 3, (4,)),),
            "is a TIFF of 8-bit untyped grey, uncompressed, which is no type that is read here",
        ),
        (((258, 3, (5, 6, 5)), (277, 3, (3,)), (262, 3, (2,))), "samples differ in type (5, 6, 5 bits)"),
        (((262, 3, (3,)), (320, 3, tuple(range(256)) * 3)), "with a colour map of 8 bits instead of 16"),
    ],
)
def test_what_tags_ask_for_and_is_not_supported_is_named(tmp_path: Path, tags: Any, says: str) -> None:
    (tmp_path / "a.tif").write_bytes(tiff(Layout(), contents(Layout(), 4, 5), extra_tags=tags))
    with pytest.raises(PictureError) as caught:
        load(tmp_path / "a.tif")
    assert says in str(caught.value) and "damaged" not in str(caught.value)


def test_without_tifffile_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.tif"
    monkeypatch.setitem(sys.modules, "tifffile", None)
    layout = Layout(3, 32, "f", photometric=RGB)
    path.write_bytes(tiff(layout, contents(layout, 4, 5)))
    with pytest.raises(MissingExtra) as caught:
        load(path)
    says, hint = str(caught.value).split("\n")
    assert says == "picture 'a.tif' is a TIFF of 32-bit float RGB, uncompressed, which only tifffile reads"
    assert hint.startswith('hint: pip install "sfumato[big]"')
    # What Pillow reads right needs no extra.
    for layout in (Layout(), Layout(3, 16, planar=True, photometric=RGB), Layout(1, 32, "f", ">")):
        assert check(path, layout) is not None


def test_codecs_that_tifffile_lacks_are_named(tmp_path: Path) -> None:
    layout = Layout(3, 10, photometric=RGB)
    (tmp_path / "a.tif").write_bytes(tiff(layout, contents(layout, 4, 5)))
    if "imagecodecs" in sys.modules:
        assert check(tmp_path / "a.tif", layout) is not None
        return
    with pytest.raises(
        MissingExtra, match="10-bit RGB, uncompressed, which tifffile reads with imagecodecs only"
    ):
        load(tmp_path / "a.tif")


@pytest.mark.parametrize("compression", ["none", "deflate", "packbits"])
def test_files_that_end_early_are_refused(tmp_path: Path, compression: str) -> None:
    for layout in (Layout(3, 32, "f", photometric=RGB), Layout(2, planar=True, extra=(2,)), Layout(bits=16)):
        layout = replace(layout, compression=compression)
        whole = tiff(layout, contents(layout, 19, 21))
        for part in (0.05, 0.3, 0.7, 0.99):
            (tmp_path / "a.tif").write_bytes(whole[: int(part * len(whole))])
            with pytest.raises(PictureError, match="truncated or damaged"):
                load(tmp_path / "a.tif")


def test_missing_parts_are_not_read_as_zeros(tmp_path: Path) -> None:
    layout = Layout(3, 32, "f", photometric=RGB, rows=30)
    stored = contents(layout, 19, 21)
    for tags in (((279, 4, (0,)),), ((279, 4, (stored.nbytes + 1,)),)):
        (tmp_path / "a.tif").write_bytes(tiff(layout, stored, extra_tags=tags))
        with pytest.raises(PictureError, match="parts of it lie outside of the file"):
            load(tmp_path / "a.tif")


def test_giants_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    layout = Layout(3, 64, "f", photometric=RGB)
    for size, says in [((40_000, 40_000), "1,600,000,000 pixels"), ((15_000, 15_000), "5,400,000,000 bytes")]:
        tags = ((256, 4, size[:1]), (257, 4, size[1:]))
        (tmp_path / "a.tif").write_bytes(
            tiff(layout, contents(layout, 4, 5), extra_tags=tags) + bytes(60_000)
        )
        with pytest.raises(PictureError, match=f"is too large to open: .*{says}"):
            load(tmp_path / "a.tif")


def test_what_tifffile_reads_is_mapped_downscaled_and_noted_like_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    ramp = np.linspace(-1, 3, 80 * 40 * 3, dtype=np.float32).reshape(40, 80, 3)
    layout = Layout(3, 32, "f", photometric=RGB, orientation=6)
    path.write_bytes(tiff(layout, ramp))
    found = load(path, max_pixels=200)
    assert (found.height, found.width) == (20, 10)
    assert found.values.min() < 0.1 and found.values.max() > 0.9
    assert found.notes == (
        "read as TIFF, though its name ends in .png",
        "float values -1 to 3 mapped to 0 to 1",
        "downscaled from 40x80 to 10x20 for max_pixels=200",
        "turned upright as its EXIF orientation says",
    )
    tifffile.imwrite(path, np.zeros((3, 4, 5, 3), np.float32), photometric="rgb")
    assert "first of several frames taken" in load(path).notes
    bad = contents(replace(layout, samples=4, extra=(2,)), 4, 5)
    bad[1, 1, 3] = 2
    path.write_bytes(tiff(replace(layout, samples=4, extra=(2,)), bad))
    with pytest.raises(PictureError, match="has an alpha channel that leaves 0 to 1"):
        load(path)


def test_jpeg_inside_a_tiff_is_near_its_picture(tmp_path: Path) -> None:
    y, x = np.mgrid[0:32, 0:48]
    values = np.stack([5 * x, 7 * y, 128 + 0 * x], axis=2).astype(np.uint8)
    for mode in ("L", "RGB", "YCbCr"):
        Image.fromarray(values).convert(mode).save(tmp_path / "a.tif", compression="jpeg", quality=95)
        expected = np.asarray(Image.fromarray(values).convert("L" if mode == "L" else "RGB"))
        found = load(tmp_path / "a.tif").values * 255
        assert (
            np.abs(found.squeeze() - expected).max() <= 8
        )  # a smooth ramp at quality 95, colour at half size
