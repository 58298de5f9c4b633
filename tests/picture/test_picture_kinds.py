"""What files say beside their pixels: colours, frames, masks, text; and what is not read, by its name."""

from __future__ import annotations

import io
import resource
import struct
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from picture_files import SRGB, Array, levels, merged, noise, png, write
from PIL import Image

from sfumato.errors import PictureError
from sfumato.picture import load

GREYS = np.arange(0, 256, 5, dtype=np.uint8).reshape(1, -1, 1).repeat(3, axis=2)


@pytest.fixture
def put(tmp_path: Path) -> Any:
    """`write` into the test's own folder."""
    return partial(write, tmp_path)


def refusal(path: Path) -> str:
    with pytest.raises(PictureError) as caught:
        load(path)
    assert "damaged" not in str(caught.value)
    return str(caught.value).split("\n")[0].removeprefix(f"picture {path.name!r} ")


# PNG -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [0, 2, 3, 4, 6])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("key", [False, True])
def test_every_png_is_right_or_refused_by_name(put: Any, colour: int, bits: int, key: bool) -> None:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    if (bits < 8 and colour not in (0, 3)) or (bits > 8 and colour == 3) or (key and colour > 3):
        return  # the standard has no such file (table 11.1)
    stored = np.random.default_rng(3).integers(0, 2**bits, (5, 8, channels))
    palette = np.random.default_rng(4).integers(0, 256, (2**bits, 3), dtype=np.uint8)
    shifts = np.arange(bits - 1, -1, -1)
    packed = np.packbits(stored.reshape(5, -1, 1) >> shifts & 1, axis=None).reshape(5, -1)
    rows = packed if bits < 8 else stored.astype(f"u{bits // 8}")
    chunks = [(b"PLTE", palette.tobytes())] * (colour == 3)
    first = stored[0, 0]
    if key:
        chunks.append((b"tRNS", bytes([0, 128]) if colour == 3 else first.astype(">u2").tobytes()))
    path = put("a.png", png(rows, colour, bits, *chunks))
    if key and colour == 2 and bits == 16:
        assert refusal(path).startswith("is a PNG of 16-bit colour in which one colour is called transparent")
        return
    found = load(path, alpha=True)
    exact = stored / (2**bits - 1)
    cover = exact[..., -1] if colour > 3 else np.ones((5, 8))
    colours = exact[..., : 1 if colour in (0, 4) else 3]
    if colour == 3:
        colours = palette[stored[..., 0]] / 255
        cover = np.array([0, 128 / 255, *[1] * 254])[stored[..., 0]] if key else cover
    elif key:
        cover = 1.0 - (stored == first).all(axis=2)
    bound = 1.01 / 255 if any("read as 8-bit" in note for note in found.notes) else 1e-7
    assert np.abs(found.values[..., :3] - colours).max() <= bound
    assert np.abs(found.values[..., 3] - cover).max() <= bound


def test_gamma_becomes_srgb_unless_something_tells_more(put: Any) -> None:
    def gama(value: float) -> tuple[bytes, bytes]:
        return b"gAMA", struct.pack(">I", round(100_000 * value))

    for value in (1.0, 0.55, 0.3):
        found = load(put("a.png", png(GREYS, 2, 8, gama(value))))
        assert found.notes == (f"gamma {value:g} (gAMA) converted to sRGB",)
        # What a screen of sRGB makes of the result is the light that the file meant (IEC 61966-2-1, 5.2).
        coded = found.values.astype(float)
        light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
        assert np.abs(light - (GREYS / 255) ** (1 / value)).max() < 1e-6
    assert levels(load(put("a.png", png(np.full((1, 1, 3), 128, np.uint8), 2, 8, gama(1)))))[0, 0, 0] == 188
    profile = b"iCCP", b"icc\0\0" + zlib.compress(SRGB)
    for chunks in [(gama(0.45455),), (gama(1), (b"sRGB", b"\0")), (gama(1), profile), (gama(0),)]:
        found = load(put("a.png", png(GREYS, 2, 8, *chunks)))
        assert np.array_equal(levels(found), GREYS) and found.notes == ()
    # Alpha is no light, and grey stays grey.
    values = noise(3, 4, 2)
    found = load(put("a.png", png(values, 4, 8, gama(1))), alpha=True)
    assert np.array_equal(levels(found)[..., 3], values[..., 1])
    assert load(put("a.png", png(GREYS[..., :1], 0, 8, gama(1)))).channels == 1


def test_colours_that_are_not_applied_are_said(put: Any) -> None:
    wide = struct.pack(">8I", 31270, 32900, 70800, 29200, 17000, 79700, 13100, 4600)  # BT.2020
    for chunk, says in [
        ((b"cICP", bytes([9, 16, 0, 1])), "colour coding 9-16-0-1 (cICP) not applied: values are as stored"),
        ((b"cHRM", wide), "colour primaries (cHRM) not applied: values are as stored"),
    ]:
        found = load(put("a.png", png(GREYS, 2, 8, chunk)))
        assert np.array_equal(levels(found), GREYS) and found.notes == (says,)
    usual = struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    for chunk in [(b"cICP", bytes([1, 13, 0, 1])), (b"cHRM", usual)]:
        assert load(put("a.png", png(GREYS, 2, 8, chunk))).notes == ()


def test_text_of_any_size_is_passed_over(put: Any) -> None:
    packed = zlib.compress(bytes(100_000_000))  # a bomb of 97 kB, were it opened
    for chunk in [
        (b"tEXt", b"Comment\0" + b"x" * 2_000_000),
        (b"zTXt", b"Comment\0\0" + packed),
        (b"iTXt", b"Comment\0\1\0\0\0" + packed),
    ]:
        found = load(put("a.png", png(GREYS, 2, 8, chunk)))
        assert np.array_equal(levels(found), GREYS) and found.notes == ()


def test_large_profiles_travel_and_bombs_are_dropped(put: Any) -> None:
    large = SRGB[:128] + np.random.default_rng(0).bytes(3_000_000)
    assert load(put("a.png", png(GREYS, 2, 8, (b"iCCP", b"icc\0\0" + zlib.compress(large))))).icc == large
    for packed in (zlib.compress(bytes(20_000_000)), b"nonsense", zlib.compress(SRGB)[:-9]):
        found = load(put("a.png", png(GREYS, 2, 8, (b"iCCP", b"icc\0\0" + packed))))
        assert found.icc is None and np.array_equal(levels(found), GREYS)
        assert found.notes == ("colour profile dropped: damaged, or of more than 16 MiB",)


def test_orientation_in_xmp_is_found_in_a_png(put: Any) -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="3"/></x:xmpmeta>'
    values = noise(3, 4, 3)
    found = load(put("a.png", png(values, 2, 8, (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp))))
    assert np.array_equal(levels(found), values[::-1, ::-1])


# GIF -----------------------------------------------------------------------------------------------------------


def gif(
    canvas: tuple[int, int],
    place: tuple[int, int],
    values: Array,
    *,
    key: int | None = None,
    disposal: int = 0,
) -> bytes:
    """A GIF whose one frame of indices (h, w) lies at place (x, y) of a canvas (width, height)."""
    frame = Image.fromarray(values.astype(np.uint8), "L")
    stored = io.BytesIO()
    frame.convert("P").save(stored, "GIF", optimize=False)
    pixels = stored.getvalue()
    pixels = pixels[pixels.index(b",\0\0\0\0") + 10 :]  # after the descriptor: code size, blocks, end
    palette = bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9]).ljust(768, b"\x77")
    control = b"!\xf9\4" + bytes([disposal << 2 | (key is not None), 0, 0, key or 0, 0])
    size = struct.pack("<HHHH", *place, *values.shape[::-1])
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", *canvas, 0xF7, 1, 0)
        + palette
        + control
        + b","
        + size
        + b"\0"
        + pixels
    )


@pytest.mark.parametrize("disposal", range(4))
@pytest.mark.parametrize("key", [None, 0, 2])
def test_around_a_small_gif_frame_is_nothing(put: Any, disposal: int, key: int | None) -> None:
    indices = np.array([[0, 1, 2], [2, 1, 0]])
    path = put("a.gif", gif((7, 5), (2, 1), indices, key=key, disposal=disposal))
    found = load(path, alpha=True)
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    cover = np.zeros((5, 7), np.uint8)
    cover[1:3, 2:5] = 255 * (indices != key)
    assert np.array_equal(levels(found)[..., 3], cover)
    assert np.array_equal(levels(found)[1:3, 2:5, :3], colours[indices])
    flat = levels(load(path))
    assert (flat[cover == 0] == 255).all()
    assert np.array_equal(flat[1:3, 2:5][indices != key], colours[indices[indices != key]])
    assert load(path).notes == ("transparency composited on white",)


def test_gif_frame_as_large_as_its_canvas_is_opaque(put: Any) -> None:
    indices = np.array([[0, 1, 2]])
    for canvas, place in [((3, 1), (0, 0)), ((2, 1), (0, 0))]:  # players enlarge a canvas that is too small
        assert load(put("a.gif", gif(canvas, place, indices))).values.shape == (1, 3, 3)
        assert load(put("a.gif", gif(canvas, place, indices))).notes == ()


# BMP -----------------------------------------------------------------------------------------------------------


def bmp(
    size: tuple[int, int],
    bits: int,
    method: int,
    data: bytes,
    masks: tuple[int, ...] = (),
    palette: bytes = b"",
) -> bytes:
    """A BMP of (width, height), from the top where the height is negative; masks of red, green, blue, alpha."""
    header = struct.pack("<iiHHIIiiII", *size, 1, bits, method, len(data), 0, 0, len(palette) // 4, 0)
    header = struct.pack("<I", 56 if masks else 40) + header + struct.pack(f"<{len(masks)}I", *masks)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + palette + data


MASKS = {
    (16, (0xF800, 0x7E0, 0x1F, 0)): True,
    (16, (0x7C00, 0x3E0, 0x1F, 0)): True,
    (16, (0x1F, 0x7E0, 0xF800, 0)): False,
    (16, (0xF00, 0xF0, 0xF, 0)): False,
    (16, (0x7C00, 0x3E0, 0x1F, 0x8000)): False,
    (16, (0xF00, 0xF0, 0xF, 0xF000)): False,
    (32, (0xFF0000, 0xFF00, 0xFF, 0)): True,
    (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)): True,
    (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)): True,
    (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)): True,
    (32, (0x3FF00000, 0xFFC00, 0x3FF, 0)): False,
}


@pytest.mark.parametrize(("bits", "masks"), MASKS)
def test_bitfields_of_a_bmp_are_right_or_refused_by_name(put: Any, bits: int, masks: tuple[int, ...]) -> None:
    words = np.random.default_rng(1).integers(0, 2**bits, (3, 4), dtype=np.uint32)
    data = words.astype(f"<u{bits // 8}").tobytes()
    path = put("a.bmp", bmp((4, -3), bits, 3, data, masks))
    if not MASKS[bits, masks]:
        assert (
            "which is not read here" in (says := refusal(path))
            or "is of a kind that is not read here" in says
        )
        return
    expected = [(words & mask) / mask if mask else np.ones(words.shape) for mask in masks]
    found = load(path, alpha=True).values
    # Five bits become eight by cutting, which is less than a level.
    assert np.abs(found - np.stack(expected, axis=2)).max() <= 1 / 255


def test_other_bmps_are_right_or_refused_by_name(put: Any) -> None:
    pixels = bytes([3, 2, 1, 99, 6, 5, 4, 99])
    for height, order in [(2, [[4, 5, 6], [1, 2, 3]]), (-2, [[1, 2, 3], [4, 5, 6]])]:
        assert levels(load(put("a.bmp", bmp((1, height), 32, 0, pixels))))[:, 0].tolist() == order
    palette = bytes([0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0])
    runs = bytes([2, 0, 0, 3, 1, 2, 1, 0, 0, 0, 5, 2, 0, 1])  # two of 0, then 1 2 1; next row: five of 2; end
    found = levels(load(put("a.bmp", bmp((5, 2), 8, 1, runs, palette=palette))))
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
    assert np.array_equal(found, colours[[[2, 2, 2, 2, 2], [0, 0, 1, 2, 1]]])
    for bits, method in [(0, 4), (0, 5), (32, 6), (64, 0), (2, 0), (24, 4)]:
        assert "is of a kind that is not read here: Unsupported BMP" in refusal(
            put("a.bmp", bmp((1, 1), bits, method, bytes(8)))
        )


# PNM, JPEG, WebP -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("greatest", [1, 15, 100, 255, 256, 1000, 1023, 65535])
def test_pnm_of_any_range_is_right(put: Any, greatest: int) -> None:
    for channels, raw, text in [(1, b"P5", b"P2"), (3, b"P6", b"P3")]:
        stored = np.random.default_rng(2).integers(0, greatest, (4, 5, channels), endpoint=True)
        header = b"\n5 4\n%d\n" % greatest
        data = stored.astype(">u2" if greatest > 255 else "u1").tobytes()
        plain = b" ".join(b"%d" % value for value in stored.ravel().tolist())
        for content in (raw + header + data, text + header + plain):
            found = load(put("a.pnm", content))
            # Pillow rounds to 255 levels, or to 65,535 where grey has more than 8 bits.
            bound = 0.51 / (65535 if greatest > 255 and channels == 1 else 255)
            assert np.abs(found.values - stored / greatest).max() <= bound
            assert (channels == 3 and greatest > 255) == any("read as 8-bit" in note for note in found.notes)


@pytest.mark.parametrize("order", "<>")
def test_floats_of_a_pfm_come_from_below(put: Any, order: str) -> None:
    values = np.random.default_rng(0).random((3, 4), dtype=np.float32)
    scale = b"-1.0" if order == "<" else b"1.0"
    found = load(put("a.pfm", b"Pf\n4 3\n" + scale + b"\n" + values[::-1].astype(order + "f4").tobytes()))
    assert np.array_equal(found.values[..., 0], values)


def test_inks_of_a_jpeg_need_adobes_word(put: Any) -> None:
    path = put("a.jpg", merged("CMYK", np.full((16, 16, 4), [0, 255, 255, 0], np.uint8)), quality=100)
    assert np.abs(levels(load(path))[3, 3].astype(int) - [255, 0, 0]).max() <= 4
    whole = path.read_bytes()
    at = whole.index(b"\xff\xee")
    length = int.from_bytes(whole[at + 2 : at + 4], "big")
    said = refusal(put("b.jpg", whole[:at] + whole[at + 2 + length :]))
    assert said == "is a CMYK JPEG that does not say whether its inks are inverted"


@pytest.mark.parametrize(
    ("marker", "bits", "channels", "says"),
    [
        (0xC0, 12, 3, "of 12 bits a sample"),
        (0xC0, 8, 2, "of 2 channels"),
        (0xC3, 8, 3, "without loss"),
        (0xC5, 8, 3, "in layers of resolution"),
        (0xF7, 8, 3, "of the kind JPEG-LS"),
    ],
)
def test_rare_jpegs_are_named(put: Any, marker: int, bits: int, channels: int, says: str) -> None:
    whole = bytearray(put("a.jpg", Image.fromarray(noise(8, 8, 3))).read_bytes())
    at = whole.index(b"\xff\xc0")
    whole[at + 1], whole[at + 4], whole[at + 9] = marker, bits, channels
    assert refusal(put("b.jpg", bytes(whole))) == f"is a JPEG {says}, which is not read here"


def webp(width: int, height: int) -> bytes:
    """An animation of one small frame on a canvas of this size."""
    stored = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stored, "WEBP")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)

    canvas = struct.pack("<I", 2) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = bytes(6) + b"\7\0\0\7\0\0\x64\0\0\2" + stored.getvalue()[12:]
    body = b"WEBP" + chunk(b"VP8X", canvas) + chunk(b"ANIM", bytes(6)) + chunk(b"ANMF", frame)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def test_bombs_take_no_memory(put: Any) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    small = gif((65_535, 4_000), (0, 0), np.zeros((1, 1)))
    row = png(np.zeros((16_000, 2_000), np.uint8), 0, 1)  # 31 kB that would be 256 million pixels
    for content, says in [
        (webp(8_388_632, 20), "8388632x20 pixels, and a WebP ends at 16,383 a side"),
        (webp(8_388_632, 20).ljust(1 << 20, b"\0"), "8388632x20 pixels, and a WebP ends at 16,383 a side"),
        (webp(16_383, 16_383), "16383x16383 = 268,402,689 pixels out of 100 bytes"),
        (small, "65535x4000 = 262,140,000 pixels out of"),
        (row, "16000x16000 = 256,000,000 pixels out of"),
    ]:
        assert f"is too large to open: {says}" in refusal(put("a.bin", content))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # kB: the PNG is made of 32 MB here; decoded it would be 256, the WebP 1,300
    assert load(put("a.webp", webp(300, 200))).values.shape == (200, 300, 3)


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"\0\0\1\0\1\0", "is an icon of Windows"),
        (b"8BPS\0\1", "is a file of Photoshop"),
        (b"\0\0\0\x0cjP  \r\n", "is a JPEG 2000"),
        (b"\0\0\0\x0cJXL \r\n", "is a JPEG XL"),
        (b"v/1\1", "is an OpenEXR file"),
        (b"#?RADIANCE\n", "is a Radiance HDR file"),
        (b"P7\nWIDTH 1\n", "is a PAM"),
        (b"PF\n1 1\n-1.0\n", "is a PFM in colour"),
        (b"qoif", "is a QOI"),
        (b"%PDF-1.7\n", "is a PDF"),
    ],
)
def test_kinds_that_are_not_read_are_named(put: Any, start: bytes, says: str) -> None:
    assert refusal(put("a.png", start + bytes(40))) == f"{says}, which is not read here"
