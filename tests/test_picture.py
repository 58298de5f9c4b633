"""Pictures: every format and mode comes in as stored, goes out as it was, and what is no picture is refused."""

from __future__ import annotations

import errno
import io
import os
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from sfumato import picture
from sfumato.errors import PictureError, RecipeError, RunError
from sfumato.picture import Picture, encode, flatten, from_array, load, parse_size, resize, save, sheet

Array = NDArray[Any]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = SRGB[:16] + b"GRAY" + SRGB[20:]  # only the header's colour space is looked at
Image.init()
AVIF = ["a.avif"] if "AVIF" in Image.SAVE else []  # Pillow has it from 11.3 on, if built with it
INKS = SRGB[:16] + b"CMYK" + SRGB[20:]


def noise(*shape: int, seed: int = 0, kind: str = "uint8") -> Array:
    info = np.iinfo(kind)
    return np.random.default_rng(seed).integers(info.min, info.max, shape, dtype=kind, endpoint=True)


def smooth(height: int, width: int) -> Array:
    """A picture without edges, which lossy formats keep to a few levels."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], axis=2).astype(np.uint8)


def merged(mode: str, values: Array) -> Image.Image:
    return Image.merge(mode, [Image.fromarray(plane) for plane in np.moveaxis(values, 2, 0).copy()])


def png(values: Array, colour: int, bits: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG of depths that Pillow does not write; `values` (H, bytes of a row) or uint16."""
    rows = values.astype(">u2") if values.dtype == np.uint16 else values
    height, width = values.shape[:2]
    if values.dtype == np.uint8 and bits < 8:
        width = width * 8 // bits
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))
        for tag, body in parts
    )


def tiff(values: Array, *extra: tuple[int, int]) -> bytes:
    """A little-endian TIFF in one strip of any type, grey or RGB; `extra` are (tag, number), which override."""
    height, width, channels = (*values.shape, 1)[:3]
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    numbers = {256: width, 257: height, 258: 8 * values.itemsize, 259: 1, 262: 2 if channels == 3 else 1}
    numbers |= {277: channels, 278: height, 279: values.nbytes, 339: sample_format} | dict(extra)
    offset = 8 + 2 + 12 * (len(numbers) + 1) + 4
    wide = b""
    if channels == 3:  # three numbers do not fit into an entry
        wide = struct.pack("<6H", *[8 * values.itemsize] * 3, *[sample_format] * 3)
    numbers[273] = offset + len(wide)
    entries = b""
    for tag, number in sorted(numbers.items()):
        if channels == 3 and tag in (258, 339):
            entries += struct.pack("<HHII", tag, 3, 3, offset + (6 if tag == 339 else 0))
        else:
            entries += struct.pack("<HHII", tag, 4, 1, number)
    header = b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(numbers))
    return header + entries + bytes(4) + wide + values.astype(values.dtype.newbyteorder("<")).tobytes()


@pytest.fixture
def put(tmp_path: Path) -> Any:
    """Writes a file of bytes, or of a Pillow image with options, and gives its path."""

    def write(name: str, content: bytes | Image.Image, **options: Any) -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **options)
        return path

    return write


def levels(image: Picture) -> Array:
    """Values as numbers from 0 to 255, exact where they came from 8 bits."""
    return np.rint(image.values * 255).astype(np.uint8)


# --- in: formats and modes ----------------------------------------------------------------------------------


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
    for name, content in [("a.png", png(values, 0, 16)), ("a.tif", tiff(values))]:
        found = load(put(name, content))
        assert np.array_equal(np.rint(found.values[..., 0].astype(float) * 65535), values)
        assert found.notes == ("16-bit grey kept: 0 to 65535 became 0 to 1",)
    white_is_zero = load(put("b.tif", tiff(values, (262, 0))))
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
        "TIFF": lambda: tiff(values),
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
        np.array([[-100, 0], [100, 300]], np.int16),
        np.array([[-100, 0], [100, 300]], np.int32),
        np.array([[3_000_000_000, 3_000_000_100], [3_000_000_200, 3_000_000_400]], np.uint32),
    ]
    for values in every:
        found = load(put("a.tif", tiff(values)))
        assert np.abs(found.values[..., 0] - [[0, 0.25], [0.5, 1]]).max() < 1e-6
        assert len(found.notes) == 1 and "mapped to 0 to 1" in found.notes[0]


def test_floats_within_range_come_in_as_stored(put: Any) -> None:
    values = np.random.default_rng(0).random((4, 6), dtype=np.float32)
    found = load(put("a.tif", tiff(values)))
    assert np.array_equal(found.values[..., 0], values) and found.notes == ()
    assert load(put("b.tif", tiff(np.full((2, 2), 7, np.float32)))).values.max() == 1


def test_nan_in_a_float_tiff_is_refused(put: Any) -> None:
    values = np.zeros((4, 6), np.float32)
    values[1, 2], values[3, 3] = np.nan, np.inf
    with pytest.raises(PictureError, match=r"'a\.tif' has 2 of 24 values that are NaN or infinite"):
        load(put("a.tif", tiff(values)))


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
    with pytest.raises(PictureError, match="colour mode LAB is not supported"):
        load(put("b.tif", Image.new("LAB", (8, 8))))


def test_first_frame_is_taken_and_said(put: Any) -> None:
    frames = [Image.fromarray(noise(6, 8, seed=seed)) for seed in (1, 2, 3)]
    for name in ("a.gif", "a.tif", "a.png"):
        found = load(put(name, frames[0], save_all=True, append_images=frames[1:]))
        assert np.array_equal(levels(found)[..., 0], np.asarray(frames[0]))
        assert found.notes == ("first of several frames taken",)


# --- in: turned, profiled, too large ------------------------------------------------------------------------


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
    from sfumato.picture._reading import _fitted

    for size in [(1, 1), (1, 1000), (1000, 1), (7, 3), (3250, 4333), (99_999, 2)]:
        for limit in [1, 2, 3, 10, 999, 1 << 20]:
            width, height = _fitted(size, limit)
            assert 1 <= width <= size[0] and 1 <= height <= size[1] and width * height <= limit
        assert _fitted(size, None) == size


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


# --- in: refusals -------------------------------------------------------------------------------------------


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
        (b"II*\0" + bytes(30), "starts like a TIFF"),
        (bytes(range(1, 200)), "is of no known picture type"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "holds text"),
        (tiff(np.zeros((2, 2, 3), np.float32)), "of a rare kind"),
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


# --- out ----------------------------------------------------------------------------------------------------


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
    with pytest.raises(PictureError, match=r"did you mean 'a\.png'"):
        save(image, tmp_path / "a.pgn")
    with pytest.raises(PictureError, match=r"use one of \.png \.jpg"):
        save(image, tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_failed_save_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = from_array(noise(4, 4))
    save(image, tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    really = Path.write_bytes

    def fill_up(path: Path, data: bytes) -> int:
        really(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill_up)
    with pytest.raises(
        RunError, match=r"'a.png' cannot be written: No space left on device\nin: .*\nhint: free some"
    ):
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

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(RunError, match="hint: the disk is read-only"):
        save(image, tmp_path / "a.png")


# --- making and changing ------------------------------------------------------------------------------------


def test_arrays_of_any_sound_type_become_pictures() -> None:
    assert from_array([[0.0, 1.0]]).values.shape == (1, 2, 1)
    assert from_array(np.array([[0, 255]], np.uint8)).values.ravel().tolist() == [0, 1]
    assert from_array(np.array([[0, 65535]], np.uint16)).values.ravel().tolist() == [0, 1]
    assert from_array(np.array([[False, True]])).values.ravel().tolist() == [0, 1]
    assert from_array(np.array([[-1.0, 0.25, 7]])).values.ravel().tolist() == [0, 0.25, 1]
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
    captions = ["epoch 1", "a caption that is far too long for it", "", "two\nlines é"]
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


# --- real pictures ------------------------------------------------------------------------------------------


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
