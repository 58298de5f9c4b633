"""Pictures going out, made from arrays, resized, and put on a sheet."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from picture_files import GREY, SRGB, Array, levels, noise, smooth
from PIL import Image

from sfumato import files, picture
from sfumato.errors import PictureError, RecipeError, RunError
from sfumato.picture import (
    Picture,
    encode,
    flatten,
    from_array,
    from_pillow,
    load,
    parse_size,
    resize,
    save,
    sheet,
)
from sfumato.picture._values import CLIPPED


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".webp", ".PNG"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 9), (9, 1)])
def test_lossless_files_give_back_what_was_saved(
    tmp_path: Path, suffix: str, channels: int, shape: tuple[int, int]
) -> None:
    values = noise(*shape, channels)
    save(from_array(values), tmp_path / f"a{suffix}")
    found = levels(load(tmp_path / f"a{suffix}", alpha=channels == 4))
    grey_as_rgb = suffix == ".webp" and channels == 1
    assert np.array_equal(found, np.repeat(values, 3, axis=2) if grey_as_rgb else values)


def test_jpeg_keeps_grey_grey_and_colours_near(tmp_path: Path) -> None:
    for values in (smooth(40, 60), smooth(40, 60)[..., :1]):
        save(from_array(values, icc=SRGB if values.shape[2] == 3 else GREY), tmp_path / "a.jpg")
        found = load(tmp_path / "a.jpg")
        assert found.channels == values.shape[2] and found.icc is not None
        assert np.abs(levels(found).astype(int) - values).max() <= 4  # a smooth ramp at quality 95


def test_values_are_clipped_and_rounded(tmp_path: Path) -> None:
    values = np.array([[-3, 0.4999 / 255, 0.5001 / 255, 254.4 / 255, 254.6 / 255, 9]], np.float32)[..., None]
    save(Picture(values), tmp_path / "a.png")
    assert levels(load(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 0, 1, 254, 255, 255]


def test_encode_gives_readable_bytes_and_refuses_what_a_format_cannot_hold() -> None:
    image = from_array(smooth(20, 30), icc=SRGB)
    for format in ("jpeg", "jpg", "png", "webp", "tiff"):
        opened = Image.open(io.BytesIO(encode(image, format)))
        assert opened.size == (30, 20) and opened.info["icc_profile"] == SRGB
    assert len(encode(image, quality=30)) < len(encode(image, quality=95))
    with pytest.raises(PictureError, match="format 'gif' is unknown"):
        encode(image, "gif")
    with pytest.raises(PictureError, match="has alpha, which JPEG cannot hold"):
        encode(from_array(noise(2, 2, 4)), "jpeg")
    with pytest.raises(PictureError, match=r"16384x1 is too large for webp, which ends at 16,383"):
        encode(from_array(np.zeros((1, 16_384))), "webp")
    with pytest.raises(PictureError, match="1 of 6 values, the first at row 1, column 0"):
        encode(Picture(np.array([[0, 0, 0], [np.nan, 0, 0]], np.float32)[..., None]))


def test_unknown_suffixes_are_refused_with_a_hint(tmp_path: Path) -> None:
    image = from_array(np.zeros((2, 2)))
    for suffix in ("pgn", "bmp", "gif", "ppm", "ico"):
        with pytest.raises(PictureError, match=r"did you mean 'a\.png'"):
            save(image, tmp_path / f"a.{suffix}")
    with pytest.raises(PictureError, match=r"use one of \.png \.jpg"):
        save(image, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_failed_save_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = from_array(noise(4, 4))
    save(image, tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()

    def fill_up(descriptor: int, data: bytes) -> None:
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "_write", fill_up)
    with pytest.raises(RunError, match=r"cannot write .*a.png: No space left on device\nhint: free some"):
        save(from_array(noise(9, 9)), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_places_that_cannot_be_written_are_a_run_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = from_array(np.zeros((2, 2)))
    with pytest.raises(RunError, match="hint: create the folder first"):
        save(image, tmp_path / "none" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RunError, match="hint: a folder has that name"):
        save(image, tmp_path / "folder.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.png"]

    def refuse(*_: Any) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(files, "_write", refuse)
    with pytest.raises(RunError, match="hint: the disk is read-only"):
        save(image, tmp_path / "a.png")


def test_arrays_of_any_sound_type_become_pictures() -> None:
    assert from_array([[0.0, 1.0]]).values.shape == (1, 2, 1)
    assert from_array(np.array([[0, 255]], np.uint8)).values.ravel().tolist() == [0, 1]
    assert from_array(np.array([[0, 65535]], np.uint16)).values.ravel().tolist() == [0, 1]
    assert from_array(np.array([[False, True]])).values.ravel().tolist() == [0, 1]
    clipped = from_array(np.array([[-0.4, 0.25, 1.4]]))  # as far as what a network paints may overshoot
    assert clipped.values.ravel().tolist() == [0, 0.25, 1] and clipped.notes == (CLIPPED,)
    source = np.zeros((2, 3, 3), np.float32)
    made = from_array(source, icc=SRGB, name="made")
    made.values[:] = 1
    assert source.max() == 0 and made.icc == SRGB and made.name == "made" and made.notes == ()


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (np.zeros((2, 3, 2)), r"shape \(2, 3, 2\)"),
        (np.zeros(5), r"shape \(5,\)"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (np.zeros((2, 2), int), "int64 values"),
        (np.zeros((2, 2), complex), "complex128 values"),
        (np.array([["a"]]), "cannot be made of"),
        (np.array([[0.0, 255.0]]), r"from 0 to 255, and floats are meant from 0 to 1\nhint: divide by"),
        (np.array([[-1.0, 1.0]], np.float32), "values from -1 to 1, and floats are meant from 0 to 1"),
        (np.array([[0, np.inf]]), "1 of 2 values, the first at row 0, column 1"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(values: Array, says: str) -> None:
    with pytest.raises(PictureError, match=says):
        from_array(values)


def test_picture_refuses_other_types_and_shapes() -> None:
    every: list[Any] = [np.zeros((2, 2), np.float32), np.zeros((2, 2, 3)), np.zeros((2, 2, 2), np.float32)]
    for values in every:
        with pytest.raises(PictureError, match="from_array converts"):
            Picture(values)


def test_flatten_composites_and_says_so() -> None:
    values = noise(3, 4, 4)
    flat = flatten(from_array(values, icc=SRGB), (0, 0, 0))
    assert np.abs(flat.values - values[..., :3] / 255.0 * (values[..., 3:] / 255.0)).max() < 1e-6
    assert flat.notes == ("transparency composited on black",) and flat.icc == SRGB
    assert flatten(flat) is flat


def test_resize_takes_means_or_whole_pixels() -> None:
    values = np.arange(16, dtype=np.float32).reshape(4, 4, 1) / np.float32(16)
    small = resize(Picture(values, SRGB, ("note",), "x"), 2, 2, "box")
    assert np.allclose(small.values[..., 0], [[2.5 / 16, 4.5 / 16], [10.5 / 16, 12.5 / 16]], atol=1e-7)
    assert small.icc == SRGB and small.notes == ("note",) and small.name == "x"
    large = resize(small, 4, 6, "nearest")
    assert np.array_equal(large.values, small.values.repeat(2, axis=0).repeat(3, axis=1))
    edge = resize(from_array(np.array([[0.0, 0, 1, 1]])), 1, 40)
    assert edge.values.min() == 0 and edge.values.max() == 1  # Lanczos overshoots an edge, and is clipped
    with pytest.raises(RecipeError, match="leaves no pixel"):
        resize(small, 0, 2)
    with pytest.raises(RecipeError, match="method 'cubic' is unknown; choose from box, lanczos, nearest"):
        resize(small, 2, 2, "cubic")


def test_sheet_places_tiles_row_by_row() -> None:
    tiles = [from_array(np.full((2, 3), index / 10)) for index in range(5)]
    made = sheet(tiles, columns=3, gap=1, background=(1, 1, 1))
    assert made.values.shape == (2 * 3 + 1, 3 * 4 + 1, 1)
    for index in range(5):
        top, left = 1 + index // 3 * 3, 1 + index % 3 * 4
        assert np.all(made.values[top : top + 2, left : left + 3] == np.float32(index / 10))
    assert made.values[0].min() == 1 and made.values[4:6, 9:12].min() == 1  # gap, and the empty place
    assert sheet(tiles[:2], columns=9, gap=0).values.shape == (2, 6, 1)


def test_sheet_mixes_channels_and_keeps_a_shared_profile_only() -> None:
    grey, rgb, rgba = (from_array(noise(2, 3, channels)) for channels in (1, 3, 4))
    made = sheet([grey, rgb, rgba], columns=1, gap=0)
    assert np.array_equal(
        made.values[:2], np.concatenate([grey.values.repeat(3, 2), np.ones((2, 3, 1))], axis=2)
    )
    assert np.array_equal(made.values[2:4, :, :3], rgb.values) and np.array_equal(
        made.values[4:], rgba.values
    )
    assert sheet([grey], 1, background=(1, 0, 0)).channels == 3
    profiled = [from_array(noise(2, 3, 3, seed=seed), icc=SRGB) for seed in (1, 2)]
    assert sheet(profiled, 2).icc == SRGB
    assert sheet([*profiled, rgb], 2).icc is None
    assert sheet([from_array(noise(2, 3), icc=GREY), profiled[0]], 2).icc is None


def test_captions_stand_below_their_tiles_and_inside_their_width() -> None:
    tiles = [from_array(np.full((20, 60), 0.5)) for _ in range(4)]
    captions = ["epoch 1", "acaptionthatisfartoolongforit", "", "two\nlines é"]
    plain = sheet(tiles, 4, gap=2, captions=[""] * 4)
    made = sheet(tiles, 4, gap=2, captions=captions)
    changed = np.abs(made.values - plain.values)[..., 0] > 0.05
    assert not changed[:22].any() and not changed[-2:].any()
    for index, caption in enumerate(captions):
        left = 2 + index * 62
        assert changed[22:-2, left : left + 60].any() == bool(caption)
        assert not changed[:, left - 2 : left].any()
    dark = sheet(tiles[:1], 1, captions=["x"], background=(0, 0, 0))
    assert dark.values[25:, 5:-5].max() > 0.6  # light ink on a dark ground
    sheet([from_array(np.zeros((1, 1)))], 1, captions=["wider than one pixel"])


@pytest.mark.parametrize(
    ("caption", "lines"),
    [
        ("dense", ["dense"]),
        ("fastfood, 21.8 dB", ["fastfood,", "21.8 dB"]),
        ("a caption of 9", ["a caption", "of 9"]),
        ("frozen fastfood, behindconvolutions", ["frozen", "fastfood,", "behindconvolutions"]),
    ],
)
def test_a_caption_wider_than_its_tile_is_broken_between_words(caption: str, lines: list[str]) -> None:
    """Tiles of 62 pixels: each line looks as it does alone on a sheet, below the one before."""
    tile, line = from_array(np.full((10, 62), 0.5)), 17  # 12 pixels of letters and what is between lines
    made = sheet([tile, tile], 2, gap=0, captions=[caption, ""]).values
    assert made.shape[:2] == (10 + line * len(lines), 2 * 62)
    for number, words in enumerate(lines):
        alone = sheet([tile], 1, gap=0, captions=[words]).values[10:]
        assert np.array_equal(made[10 + number * line : 10 + (number + 1) * line, :62], alone)
    assert (made[10:, 62:] == 1).all()
    endless = sheet([tile], 1, gap=0, captions=[f"{caption} convolutions" * 9]).values
    assert len(endless) == 10 + 3 * line, "the rest of the last line is cut"


def test_captions_without_a_glyph_in_the_font_are_spelt_in_ascii() -> None:
    tile = from_array(np.zeros((4, 80)))
    for caption, spelt in [("é ü", "e u"), ("4×300", "4x300"), ("モナ", "??"), ("ﬁne", "fine")]:
        made, same = (sheet([tile], 1, captions=[text]).values for text in (caption, spelt))
        assert np.array_equal(made, same)


def test_sheets_that_cannot_be_meant_are_refused() -> None:
    one, other = from_array(np.zeros((2, 2))), from_array(np.zeros((2, 3)), name="wide")
    with pytest.raises(PictureError, match=r"tile 1 \('wide'\) is 3x2, the first 2x2"):
        sheet([one, other], 2)
    with pytest.raises(PictureError, match="at least one tile"):
        sheet([], 2)
    with pytest.raises(RecipeError, match="columns=0"):
        sheet([one], 0)
    with pytest.raises(RecipeError, match="1 captions for 2 tiles"):
        sheet([one, one], 2, captions=["a"])


def test_sizes_are_width_by_height() -> None:
    assert parse_size("1200x1716") == (1200, 1716)
    assert parse_size(" 7 X 9 ") == parse_size("7×9") == (7, 9)
    for text in ("1200", "x", "12x", "1.5x2", "-1x2", "1x2x3", "", "٣x٤", "9999999x1"):
        with pytest.raises(RecipeError, match="is not WIDTHxHEIGHT"):
            parse_size(text)
    with pytest.raises(RecipeError, match="leaves no pixel"):
        parse_size("0x5")


def test_public_names_are_true() -> None:
    assert all(hasattr(picture, name) for name in picture.__all__)
    assert picture.__all__ == sorted(picture.__all__)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_shows_itself_in_a_notebook(tmp_path: Path, channels: int) -> None:
    values = np.random.default_rng(channels).integers(0, 256, (5, 7, channels)) / np.float32(255)
    shown = from_array(values)
    (tmp_path / "shown.png").write_bytes(shown._repr_png_())
    assert np.array_equal(load(tmp_path / "shown.png", alpha=channels == 4).values, shown.values)


@pytest.mark.parametrize(
    "given",
    [
        [[0.0, 1.0], [0.5]],
        torch.zeros(2, 2, 3, requires_grad=True),
        torch.zeros(2, 2, 3, dtype=torch.bfloat16),
        np.ma.masked_greater(np.array([[0.0, 1.0]]), 0.5),
        (i for i in range(3)),
        b"picture",
    ],
    ids=["ragged", "gradient", "bfloat16", "masked", "generator", "bytes"],
)
def test_what_is_no_plain_array_is_refused_by_name(given: object) -> None:
    with pytest.raises(PictureError, match=r"picture .picture.[^\n]*\nhint: "):
        from_array(given)  # type: ignore[arg-type]


def test_every_mode_of_pillow_is_taken_or_refused_with_a_way_out() -> None:
    modes = (*Image.MODES, "La", "PA", "RGBa", "RGBX", "I;16", "I;16B", "I;16L")
    for mode in modes:
        image = Image.new(mode, (3, 2))
        try:
            assert from_pillow(image).values.shape[:2] == (2, 3), mode
        except PictureError as error:
            if "convert('RGB')" in str(error):
                image.convert("RGB")  # the way out is one
            assert f"mode {mode} " in str(error) and "\nhint: " in str(error)


def test_a_premultiplied_grey_is_the_grey_it_was() -> None:
    made = from_pillow(
        Image.merge("LA", [Image.new("L", (2, 2), 200), Image.new("L", (2, 2), 255)]).convert("La")
    )
    assert np.allclose(made.values, [200 / 255] * 3 + [1], atol=1e-6)  # floats of 8 bits


def test_a_picture_that_pillow_cannot_read_any_more_is_refused(tmp_path: Path) -> None:
    closed = Image.new("RGB", (3, 2))
    closed.close()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        tmp_path / "half.png"
    )
    whole = (tmp_path / "half.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with Image.open(tmp_path / "half.png") as half:
        for image in (closed, half):
            with pytest.raises(PictureError, match="cannot be read"):
                from_pillow(image)
