"""Pictures coming in: every format and mode as stored, upright, with the colour profile that fits."""

from __future__ import annotations

import os
import struct
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import AVIF, GREY, INKS, SRGB, Array, levels, merged, noise, png, smooth, write
from PIL import Image
from tiff_files import WHITE_IS_ZERO, plain

from sfumato.errors import PictureError
from sfumato.picture import from_array, load, resize, save


@pytest.fixture
def put(tmp_path: Path) -> Any:
    """`write` into the test's own folder."""
    return partial(write, tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.tif", "a.bmp", "a.ppm"])
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (1, 9), (9, 1)])
def test_lossless_rgb_comes_in_as_stored(put: Any, name: str, shape: tuple[int, int]) -> None:
    values = noise(*shape, 3)
    found = load(put(name, Image.fromarray(values)))
    assert np.array_equal(found.values, values.astype(np.float32) / np.float32(255))
    assert (found.height, found.width, found.channels) == (*shape, 3)
    assert (
        found.values.dtype == np.float32 and found.values.flags.c_contiguous and found.values.flags.writeable
    )
    assert found.notes == () and found.icc is None and found.name == "a"


@pytest.mark.parametrize("name", ["a.webp", "a.jpg", *AVIF])
def test_lossy_formats_come_in_near(put: Any, name: str) -> None:
    values = smooth(32, 48)
    found = load(put(name, Image.fromarray(values), quality=95))
    assert found.channels == 3 and found.notes == ()
    # Codecs at quality 95 keep a smooth ramp to a few of 255 levels; AVIF and WebP halve the colour's resolution.
    assert np.abs(levels(found).astype(int) - values).max() <= 16


def test_lossless_webp_comes_in_as_stored(put: Any) -> None:
    values = noise(6, 8, 3)
    assert np.array_equal(levels(load(put("a.webp", Image.fromarray(values), lossless=True))), values)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.gif", "a.bmp"])
def test_grey_has_one_channel(put: Any, name: str) -> None:
    values = np.tile(np.arange(0, 240, 5, dtype=np.uint8), (32, 1))
    found = load(put(name, Image.fromarray(values)))
    assert found.values.shape == (32, 48, 1)
    assert np.abs(levels(found)[..., 0].astype(int) - values).max() <= (6 if name == "a.jpg" else 0)


def test_one_bit_is_black_and_white(put: Any) -> None:
    values = noise(9, 13) > 127
    for name in ("a.png", "a.tif"):
        assert np.array_equal(
            load(put(name, Image.fromarray(values))).values[..., 0], values.astype(np.float32)
        )


def test_palette_becomes_its_colours(put: Any) -> None:
    image = Image.fromarray(smooth(16, 16)).quantize(17)
    for name in ("a.png", "a.gif", "a.bmp"):
        found = load(put(name, image))
        assert np.array_equal(levels(found), np.asarray(image.convert("RGB"))) and found.notes == ()


def test_palette_of_greys_is_grey(put: Any) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([9, 9, 9, 80, 80, 80, 1, 2, 3])
    image.putpixel((1, 0), 1)
    assert levels(load(put("a.png", image))).tolist() == [[[9], [80]]]
    assert levels(load(put("b.png", image, transparency=0))).tolist() == [[[255], [80]]]


def test_transparent_palette_is_composited_on_white(put: Any) -> None:
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 200, 30, 60])
    image.putpixel((0, 0), 0)
    for name in ("a.png", "a.gif"):
        found = load(put(name, image, transparency=0))
        assert levels(found)[0, 0].tolist() == [255, 255, 255] and levels(found)[1, 3].tolist() == [
            200,
            30,
            60,
        ]
        assert found.notes == ("transparency composited on white",)


def test_alpha_is_composited_as_stored_values(put: Any) -> None:
    values = noise(5, 7, 4)
    path = put("a.png", Image.fromarray(values))
    exact = values / 255.0
    for background in [(1, 1, 1), (0, 0, 0), (0.25, 0.5, 1)]:
        found = load(path, background=background)
        expected = exact[..., :3] * exact[..., 3:] + np.array(background) * (1 - exact[..., 3:])
        assert (
            np.abs(found.values - expected).max() < 1e-6
        )  # float32 against float64: three roundings of 6e-8
    assert found.notes == ("transparency composited on 0.25, 0.5, 1",)


def test_alpha_asked_for_is_kept(put: Any) -> None:
    values = noise(5, 7, 4)
    for name, options in [("a.png", {}), ("a.tif", {}), ("a.webp", {"lossless": True, "exact": True})]:
        found = load(put(name, Image.fromarray(values), **options), alpha=True)
        assert np.array_equal(levels(found), values) and found.notes == ()
    found = load(put("b.png", Image.fromarray(values[..., :3])), alpha=True)
    assert found.channels == 4 and found.values[..., 3].min() == 1
    assert found.notes == ("no transparency in the file: alpha is 1 everywhere",)


def test_opaque_alpha_is_dropped_and_said(put: Any) -> None:
    values = noise(5, 7, 4)
    values[..., 3] = 255
    found = load(put("a.png", Image.fromarray(values)))
    assert np.array_equal(levels(found), values[..., :3])
    assert found.notes == ("alpha channel dropped: opaque everywhere",)


def test_grey_with_alpha_stays_grey_on_grey_paper(put: Any) -> None:
    values = noise(5, 7, 2)
    path = put("a.png", merged("LA", values))
    exact = values / 255.0
    found = load(path)
    assert found.channels == 1
    assert np.abs(found.values[..., 0] - (exact[..., 0] * exact[..., 1] + 1 - exact[..., 1])).max() < 1e-6
    assert load(path, background=(1, 0, 0)).channels == 3
    four = load(path, alpha=True)
    assert np.array_equal(levels(four), values[..., [0, 0, 0, 1]])


@pytest.mark.parametrize(("bits", "step"), [(1, 255), (2, 85), (4, 17)])
def test_transparent_colour_is_found_in_narrow_greys(put: Any, bits: int, step: int) -> None:
    row = np.array([[0b00011011, 0b11100100]], dtype=np.uint8)
    binary = "".join(f"{byte:08b}" for byte in row[0].tolist())
    plain = [int(binary[i : i + bits], 2) for i in range(0, len(binary), bits)]
    found = load(put("a.png", png(row, 0, bits, (b"tRNS", struct.pack(">H", 1)))), alpha=True)
    assert levels(found)[0, :, 0].tolist() == [value * step for value in plain]
    assert found.values[0, :, 3].tolist() == [float(value != 1) for value in plain]


def test_transparent_colour_of_rgb_hides_its_pixels(put: Any) -> None:
    values = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    found = load(put("a.png", Image.fromarray(values), transparency=(1, 2, 3)))
    assert levels(found)[0].tolist() == [[255, 255, 255], [4, 5, 6]]


def test_sixteen_bit_grey_keeps_its_bits(put: Any) -> None:
    values = noise(5, 7, kind="uint16")
    for name, content in [("a.png", png(values, 0, 16)), ("a.tif", plain(values))]:
        found = load(put(name, content))
        assert np.array_equal(np.rint(found.values[..., 0].astype(float) * 65535), values)
        assert found.notes == ("16-bit grey kept: 0 to 65535 became 0 to 1",)
    white_is_zero = load(put("b.tif", plain(values, WHITE_IS_ZERO)))
    assert np.array_equal(np.rint(white_is_zero.values[..., 0].astype(float) * 65535), 65535 - values)
    key = struct.pack(">H", int(values[0, 0]))
    assert load(put("b.png", png(values, 0, 16, (b"tRNS", key)))).values[0, 0, 0] == 1


def test_sixteen_bit_pgm_keeps_its_bits(put: Any) -> None:
    values = noise(5, 7, kind="uint16")
    found = load(put("a.pgm", b"P5 7 5 65535\n" + values.astype(">u2").tobytes()))
    assert np.array_equal(np.rint(found.values[..., 0].astype(float) * 65535), values)


@pytest.mark.parametrize("kind", ["PNG RGB", "PNG RGBA", "PNG LA", "TIFF RGB", "PPM RGB"])
def test_sixteen_bit_colour_is_cut_to_eight_bits_and_said(put: Any, kind: str) -> None:
    channels = {"RGB": 3, "RGBA": 4, "LA": 2}[kind.split()[1]]
    values = noise(5, 7, channels, kind="uint16")
    content = {
        "PNG": lambda: png(values, {3: 2, 4: 6, 2: 4}[channels], 16),
        "TIFF": lambda: plain(values),
        "PPM": lambda: b"P6 7 5 65535\n" + values.astype(">u2").tobytes(),
    }[kind.split()[0]]()
    found = load(put("a." + kind.split()[0].lower(), content), alpha=channels in (2, 4))
    assert found.notes == ("16-bit samples read as 8-bit: Pillow keeps more for opaque grey only",)
    stored = values[..., [0, 0, 0, 1]] if channels == 2 else values
    # PNG and TIFF lose their low byte, PPM is scaled and rounded: less than one level of 255 either way.
    assert np.abs(levels(found).astype(float) - stored / 257).max() <= 1


def test_integers_and_floats_beyond_their_range_are_mapped_and_said(put: Any) -> None:
    every: list[Array] = [
        np.array([[-5.0, 0.0], [5.0, 15.0]], np.float32),
        np.array([[3_000_000_000, 3_000_000_100], [3_000_000_200, 3_000_000_400]], np.uint32),
    ]
    for values in every:
        found = load(put("a.tif", plain(values)))
        assert np.abs(found.values[..., 0] - [[0, 0.25], [0.5, 1]]).max() < 1e-6
        assert len(found.notes) == 1 and "mapped to 0 to 1" in found.notes[0]


def test_floats_within_range_come_in_as_stored(put: Any) -> None:
    values = np.random.default_rng(0).random((4, 6), dtype=np.float32)
    found = load(put("a.tif", plain(values)))
    assert np.array_equal(found.values[..., 0], values) and found.notes == ()
    assert load(put("b.tif", plain(np.full((2, 2), 7, np.float32)))).values.max() == 1


def test_nan_in_a_float_tiff_is_refused(put: Any) -> None:
    values = np.zeros((4, 6), np.float32)
    values[1, 2], values[3, 3] = np.nan, np.inf
    with pytest.raises(PictureError, match=r"'a\.tif' has 2 of 24 values that are NaN or infinite"):
        load(put("a.tif", plain(values)))


def test_cmyk_becomes_rgb(put: Any) -> None:
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, :8] = [0, 255, 255, 0]  # magenta and yellow: red
    inks[:, 8:] = [255, 0, 0, 0]  # cyan
    for name in ("a.jpg", "a.tif"):  # Pillow writes CMYK JPEGs as Adobe does, inverted
        found = load(put(name, merged("CMYK", inks), quality=100))
        assert np.abs(levels(found)[4, 3].astype(int) - [255, 0, 0]).max() <= 4
        assert np.abs(levels(found)[4, 12].astype(int) - [0, 255, 255]).max() <= 4
        assert found.notes == ("CMYK converted to RGB without a colour profile: hues are approximate",)


def test_profile_that_is_none_of_inks_does_not_stop_cmyk(put: Any) -> None:
    image = Image.new("CMYK", (3, 2), (0, 255, 255, 0))
    for profile in (SRGB, INKS, b"nonsense"):
        found = load(put("a.tif", image, icc_profile=profile))
        assert levels(found)[0, 0].tolist() == [255, 0, 0] and found.icc is None


def test_ycbcr_tiff_becomes_rgb_and_lab_is_refused(put: Any) -> None:
    image = Image.new("RGB", (8, 8), (200, 30, 60))
    found = load(put("a.tif", image.convert("YCbCr"), compression="jpeg"))
    assert np.abs(levels(found)[0, 0].astype(int) - [200, 30, 60]).max() <= 2
    with pytest.raises(PictureError, match="is a TIFF of CIE Lab colours, which are not read here"):
        load(put("b.tif", Image.new("LAB", (8, 8))))


def test_first_frame_is_taken_and_said(put: Any) -> None:
    frames = [Image.fromarray(noise(6, 8, seed=seed)) for seed in (1, 2, 3)]
    for name in ("a.gif", "a.tif", "a.png"):
        found = load(put(name, frames[0], save_all=True, append_images=frames[1:]))
        assert np.array_equal(levels(found)[..., 0], np.asarray(frames[0]))
        assert found.notes == ("first of several frames taken",)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_exif_orientation_sets_upright_and_keeps_the_profile(put: Any, name: str, orientation: int) -> None:
    upright = noise(3, 5, 3)
    # How the stored rows and columns lie for each orientation, by hand from the standard's table.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: upright.swapaxes(0, 1)[::-1],
        7: upright.swapaxes(0, 1)[::-1, ::-1],
        8: upright.swapaxes(0, 1)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "a.webp" else {}
    path = put(name, Image.fromarray(np.ascontiguousarray(stored)), exif=exif, icc_profile=SRGB, **options)
    found = load(path)
    assert np.array_equal(levels(found), upright)
    assert found.icc == SRGB
    assert found.notes == (() if orientation == 1 else ("turned upright as its EXIF orientation says",))


def test_turned_jpeg_is_downscaled_to_the_upright_shape(put: Any) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = load(put("a.jpg", Image.fromarray(smooth(60, 240)), exif=exif, quality=95), max_pixels=900)
    assert (found.height, found.width) == (60, 15)
    assert found.notes == (
        "downscaled from 240x60 to 60x15 for max_pixels=900",
        "turned upright as its EXIF orientation says",
    )


def test_damaged_exif_spoils_no_pixel(put: Any) -> None:
    values = noise(4, 6, 3)
    for exif in (b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        assert np.array_equal(levels(load(put("a.png", Image.fromarray(values), exif=exif))), values)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_profile_travels_and_values_stay_stored(put: Any, tmp_path: Path, name: str) -> None:
    image = Image.fromarray(smooth(16, 16))
    found = load(put(name, image, icc_profile=SRGB, quality=100))
    assert found.icc == SRGB
    for suffix in (".png", ".jpg", ".tiff", ".webp"):
        save(found, tmp_path / ("out" + suffix))
        assert load(tmp_path / ("out" + suffix)).icc == SRGB
    plain = load(put("plain" + Path(name).suffix, image, quality=100))
    assert np.array_equal(found.values, plain.values)


def test_profile_that_does_not_fit_the_values_is_dropped_and_said(put: Any) -> None:
    grey, rgb = Image.fromarray(noise(4, 6)), Image.fromarray(noise(4, 6, 3))
    assert load(put("a.png", grey, icc_profile=GREY)).icc == GREY
    for image, profile, alpha in [(grey, SRGB, False), (rgb, GREY, False), (grey, GREY, True)]:
        found = load(put("a.png", image, icc_profile=profile), alpha=alpha)
        assert found.icc is None and "colour profile dropped" in found.notes[-1]
    found = load(put("a.png", rgb, icc_profile=b"nonsense"))
    assert found.icc is None and found.notes == ("damaged colour profile dropped",)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_large_pictures_are_downscaled_with_their_shape(put: Any, mode: str) -> None:
    ramp = np.tile(np.linspace(0, 1, 80, dtype=np.float32), (40, 1))
    if mode == "F":
        image = Image.fromarray(ramp)
    elif mode == "I;16":
        image = Image.fromarray((ramp * 65535).astype(np.uint16))
    elif mode == "1":
        image = Image.fromarray(ramp > 0.5)
    else:
        image = Image.fromarray((ramp * 255).astype(np.uint8)).convert("RGB").convert(mode)
    found = load(put("a.tif", image), max_pixels=200)
    assert (found.height, found.width) == (10, 20)
    assert any(note == "downscaled from 80x40 to 20x10 for max_pixels=200" for note in found.notes)
    # Each of 20 columns holds the mean of 4 of the ramp's 80, so 0.05 apart; a palette and one bit are coarser.
    expected = (np.arange(20) + 0.5) / 20
    bound = {"1": 0.51, "P": 0.15}.get(mode, 0.02)
    assert np.abs(found.values[5, :, 0] - expected).max() < bound


def test_downscaling_never_yields_more_than_max_pixels_nor_less_than_one() -> None:
    from sfumato.picture._values import fitted_size

    for size in [(1, 1), (1, 1000), (1000, 1), (7, 3), (3250, 4333), (99_999, 2)]:
        for limit in [1, 2, 3, 10, 999, 1 << 20]:
            width, height = fitted_size(size, limit)
            assert 1 <= width <= size[0] and 1 <= height <= size[1] and width * height <= limit
        assert fitted_size(size, None) == size


def test_huge_jpeg_is_decoded_small(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    resize_in_pillow = Image.Image.resize

    def spy(image: Image.Image, *args: Any, **options: Any) -> Image.Image:
        sizes.append(image.size)
        return resize_in_pillow(image, *args, **options)

    monkeypatch.setattr(Image.Image, "resize", spy)
    found = load(put("a.jpg", Image.fromarray(smooth(400, 800)), quality=95), max_pixels=20_000)
    assert (found.height, found.width) == (100, 200) and sizes == [(400, 200)]
    exact = resize(from_array(smooth(400, 800)), 100, 200)
    assert np.abs(found.values - exact.values).max() < 0.03  # two filters and a codec on a smooth ramp


def test_hidden_colours_do_not_bleed_when_downscaled(put: Any) -> None:
    values = np.zeros((8, 8, 4), np.uint8)
    values[:, ::2] = [0, 255, 0, 0]  # green, but transparent
    values[:, 1::2] = [255, 0, 0, 255]
    path = put("a.png", Image.fromarray(values))
    small = load(path, alpha=True, max_pixels=16).values
    assert small[..., 0].min() > 0.98 and small[..., 1].max() < 0.02
    assert np.abs(small[..., 3] - 0.5).max() < 0.2
    same = resize(load(path, alpha=True), 4, 4, "box").values
    assert np.allclose(same, [1, 0, 0, 0.5], atol=1e-6)


def test_photographs_survive_in_and_out(tmp_path: Path) -> None:
    """Photographs where SFUMATO_DATA has them, and one like them made here in any case."""
    made = tmp_path / "made.jpg"
    Image.fromarray(smooth(90, 120)).save(made, quality=90, icc_profile=SRGB)
    folder = Path(os.environ.get("SFUMATO_DATA", tmp_path)) / "pictures"
    for path in [made, *sorted(folder.glob("*.jpg"))]:
        found = load(path, max_pixels=250_000)
        with Image.open(path) as stored:
            assert found.icc == stored.info.get("icc_profile")
            assert found.channels == len(stored.getbands())
            if not found.notes:
                assert np.array_equal(levels(found).squeeze(), np.asarray(stored))
        save(found, tmp_path / "out.png")
        again = load(tmp_path / "out.png")
        assert np.array_equal(levels(again), levels(found)) and again.icc == found.icc
