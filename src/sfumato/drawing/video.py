"""Frames into a moving picture: MP4 by PyAV, animated WebP and GIF by Pillow. Knows nothing of runs.

Each writer takes uint8 frames (H, W, 3) of one size as they come and holds a few of them at a time, so that
memory does not grow with the length. The last frame stands for `hold` seconds. MP4 and GIF carry no colour
profile: their frames must be sRGB; WebP takes a profile along.
"""

from __future__ import annotations

import difflib
import io
import math
import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from ..errors import MissingExtra, RecipeError

if TYPE_CHECKING:
    from av.video.stream import VideoStream

__all__ = ["KINDS", "Frame", "gif", "has_mp4", "kind_of", "mp4", "require_mp4", "webp"]

KINDS = ("mp4", "webp", "gif")
"""Suffixes of films."""

Frame = npt.NDArray[np.uint8]
"""(H, W, 3), values 0 ... 255."""

GROUP = 12
"""Frames from one key frame to the next: a page can jump to any frame by decoding at most that many."""

BT709, SRGB_CURVE, LIMITED = 1, 13, 1
"""Codes of ITU-T H.273 for matrix and primaries, transfer and range. Unmarked, players guess by the size."""

CRF = 21
"""Of H.264. At twice its size 21 shows a 300x429 portrait 2 dB better than 18 at its own, in twice the bytes."""

WEBP_QUALITY, WEBP_EFFORT = 75, 2
"""Effort 4, the usual one, takes twice the time of 2 for 3 % fewer bytes (a 300x429 portrait)."""


RARE, MISSED = 32, 24
"""Colours of a GIF's palette kept for what its crowd misses, and by how many levels of 255 that must be."""


def kind_of(text: str) -> str:
    """`mp4`, `webp` or `gif` of what a person typed; `auto` is mp4 where it can be written. RecipeError else."""
    kind = text.lower().removeprefix(".")
    if kind == "auto":
        return "mp4" if has_mp4() else "webp"
    if kind not in KINDS:
        near = difflib.get_close_matches(kind, [*KINDS, "auto", "none"], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are auto, none, {', '.join(KINDS)}"
        raise RecipeError(f"film={text!r} is unknown; {hint}")
    return kind


def has_mp4() -> bool:
    """Whether PyAV is there and has the H.264 encoder."""
    try:
        require_mp4()
    except MissingExtra:
        return False
    return True


def mp4(path: Path, frames: Iterable[Frame], fps: int, hold: float) -> None:
    """H.264 at constant quality in 4:2:0, index first, a key frame every GROUP frames.

    4:2:0 needs even sides: an odd one is padded by repeating the last row or column, nothing is scaled. The last
    frame is repeated for `hold` seconds. Raises MissingExtra without PyAV or its encoder, OSError from the disk.
    """
    require_mp4()
    import av

    container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
    stream: VideoStream | None = None
    image, last = None, -1
    with container:  # on an error this closes the file, which the caller then deletes
        for last, frame in enumerate(frames):
            padded = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge")
            if stream is None:
                stream = _stream(container, padded, fps)
            image = av.VideoFrame.from_ndarray(padded, format="rgb24")
            image = image.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            image.pts = last
            container.mux(stream.encode(image))
        assert stream is not None and image is not None, "a film needs at least one frame"
        for repeat in range(1, max(1, round(hold * fps))):
            image.pts = last + repeat
            container.mux(stream.encode(image))
        container.mux(stream.encode())


def require_mp4() -> None:
    """Raise MissingExtra where mp4 cannot be written."""
    hint = 'hint: pip install "sfumato[video]", or write .webp or .gif'
    try:
        import av
    except ImportError as error:
        raise MissingExtra(f"mp4 needs PyAV, which is not installed\n{hint}") from error
    if "libx264" not in av.codecs_available:
        raise MissingExtra(f"mp4 needs the encoder libx264, which this PyAV lacks\n{hint}")


def _stream(container: object, frame: Frame, fps: int) -> VideoStream:
    stream: VideoStream = container.add_stream("libx264", rate=fps)  # type: ignore[attr-defined]  # av.open's union
    stream.height, stream.width = frame.shape[:2]
    stream.pix_fmt = "yuv420p"
    # Scene cuts are off: a net that learns changes little from frame to frame, and groups stay regular.
    stream.options = {"crf": f"{CRF}", "preset": "faster", "g": f"{GROUP}", "sc_threshold": "0"}
    context = stream.codec_context
    context.colorspace, context.color_primaries = BT709, BT709
    context.color_trc, context.color_range = SRGB_CURVE, LIMITED
    return stream


# Animated WebP -------------------------------------------------------------------------------------------------


def webp(path: Path, frames: Iterable[Frame], fps: int, hold: float, icc: bytes | None = None) -> None:
    """Lossy WebP, played for ever; `icc` is carried along. Frames are encoded on all cores.

    The container is put together here (RFC 9649, section 2.7), because Pillow's own keeps every frame in memory.
    """
    with path.open("wb") as file:
        for index, (frame, data, seconds) in enumerate(_timed(frames, _webp_image, fps, hold)):
            height, width = frame.shape[:2]
            if index == 0:
                flags = 0x02 | (0x20 if icc else 0)
                canvas = struct.pack("<I", flags) + _three(width - 1) + _three(height - 1)
                file.write(b"RIFF\0\0\0\0WEBP" + _chunk(b"VP8X", canvas))
                if icc:
                    file.write(_chunk(b"ICCP", icc))
                file.write(_chunk(b"ANIM", struct.pack("<IH", 0xFFFFFFFF, 0)))
            place = bytes(6) + _three(width - 1) + _three(height - 1)
            # 2: replace what was there, do not blend
            file.write(_chunk(b"ANMF", place + _three(round(1000 * seconds)) + b"\2" + data))
        size = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", size - 8))


def _webp_image(frame: Frame) -> bytes:
    """The image chunks of one frame, the file header taken off."""
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "WEBP", quality=WEBP_QUALITY, method=WEBP_EFFORT)
    return buffer.getvalue()[12:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _three(value: int) -> bytes:
    return value.to_bytes(3, "little")


# GIF -----------------------------------------------------------------------------------------------------------


def gif(path: Path, frames: Iterable[Frame], fps: int, hold: float) -> None:
    """Animated GIF, played for ever: 256 colours of its own for each frame, dithered.

    Each frame is a one-picture GIF of Pillow's, whose global palette becomes a local one (GIF89a, sections 19 to
    23): Pillow's own animation keeps every frame in memory.
    """
    with path.open("wb") as file:
        for index, (frame, data, seconds) in enumerate(_timed(frames, _gif_image, fps, hold)):
            if index == 0:
                height, width = frame.shape[:2]
                file.write(b"GIF89a" + struct.pack("<HHBBB", width, height, 0x70, 0, 0))
                file.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0")
            file.write(b"\x21\xf9\x04\x04" + struct.pack("<H", round(100 * seconds)) + b"\0\0" + data)
        file.write(b"\x3b")


def _gif_image(frame: Frame) -> bytes:
    """One frame as image descriptor, local palette and compressed pixels."""
    image = Image.fromarray(frame)
    buffer = io.BytesIO()
    image.quantize(palette=_gif_palette(frame, image), dither=Image.Dither.FLOYDSTEINBERG).save(
        buffer, "GIF", optimize=False
    )
    data = buffer.getvalue()
    size_bits = data[10] & 7
    table = 3 * (2 << size_bits)
    at = 13 + table
    while data[at] != 0x2C:  # extensions before the picture: a label and blocks, each led by its length
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    flags = data[at + 9] & 0x40 | 0x80 | size_bits
    return data[at : at + 9] + bytes([flags]) + data[13 : 13 + table] + data[at + 10 : -1]


def _gif_palette(frame: Frame, image: Image.Image) -> Image.Image:
    """Colours by median cut, which follows the crowd, and up to RARE that it misses: a thin red line on grey."""
    # From a lattice of some 4,000 pixels: the time of a median cut grows with the number of distinct colours,
    # and from a whole 300x429 portrait it would take twenty times the rest.
    every = math.ceil(math.sqrt(frame.shape[0] * frame.shape[1] / 4096))
    sampled = Image.fromarray(np.ascontiguousarray(frame[::every, ::every]))
    palette = sampled.quantize(256, Image.Quantize.MEDIANCUT)
    colours = _colours(palette)
    shown = colours[np.asarray(image.quantize(palette=palette, dither=Image.Dither.NONE))]
    missed = frame[np.abs(shown - frame).max(axis=2) > MISSED]
    if not len(missed):
        return palette
    _, firsts = np.unique(missed >> 3, axis=0, return_index=True)  # one of each 8 levels
    rest = missed[firsts].astype(np.int16)
    distance = np.abs(rest[:, None] - colours).max(axis=2).min(axis=1)
    rare: list[npt.NDArray[np.int16]] = []
    while len(rare) < RARE and distance.max() > MISSED:
        rare.append(rest[distance.argmax()])
        distance = np.minimum(distance, np.abs(rest - rare[-1]).max(axis=1))
    palette = sampled.quantize(256 - len(rare), Image.Quantize.MEDIANCUT)
    together = np.concatenate([_colours(palette), np.reshape(rare, (-1, 3))])
    palette.putpalette(together.astype(np.uint8).tobytes())
    return palette


def _colours(image: Image.Image) -> npt.NDArray[np.int16]:
    """RGB of each index (N, 3)."""
    return np.array(image.getpalette(), np.int16).reshape(-1, 3)


# Both ----------------------------------------------------------------------------------------------------------

T = TypeVar("T")
Made = tuple[Frame, T, float]


def _timed(frames: Iterable[Frame], encode: Callable[[Frame], T], fps: int, hold: float) -> Iterator[Made[T]]:
    """Each frame with what `encode` makes of it and its seconds: 1 / fps, the last one max(hold, 1 / fps)."""
    previous: tuple[Frame, T] | None = None
    for made in _ahead(frames, encode):
        if previous is not None:
            yield *previous, 1 / fps
        previous = made
    assert previous is not None, "a film needs at least one frame"
    yield *previous, max(hold, 1 / fps)


def _ahead(
    frames: Iterable[Frame], encode: Callable[[Frame], T], threads: int = 4
) -> Iterator[tuple[Frame, T]]:
    """`encode` of each frame in order, up to `threads` at a time: Pillow's encoders let other threads run."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[tuple[Frame, Future[T]]] = deque()
        for frame in frames:
            waiting.append((frame, pool.submit(encode, frame)))
            if len(waiting) > threads:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()
