"""What an AVIF loses when it is read is said."""

from __future__ import annotations

import io
import os
from pathlib import Path

import av
import numpy as np
import pytest
from picture_files import AVIF

from sfumato import picture
from sfumato.picture._avif import notes_of


def written(path: Path, layout: str) -> Path:
    """A picture 64 wide and 48 high by SVT-AV1; red grows to the right, green downwards."""
    values = np.zeros((48, 64, 3), np.uint8)
    values[..., 0], values[..., 1] = np.arange(64) * 4, np.arange(48)[:, None] * 5
    av.logging.set_level(av.logging.PANIC)
    with av.open(str(path), "w", format="avif") as file:
        stream = file.add_stream("libsvtav1", rate=1, options={"crf": "5"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, layout
        frame = av.VideoFrame.from_ndarray(values, "rgb24")
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    if hasattr(os, "sched_setscheduler"):
        # As root, SVT-AV1 gives the thread that calls it real-time priority and leaves it there: all tests that
        # came after in this process starved those beside them, browsers most of all.
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return path


def test_more_than_8_bits_are_said(tmp_path: Path) -> None:
    if not AVIF:
        pytest.fail("Pillow reads no AVIF here")
    for layout, notes in (("yuv420p", []), ("yuv420p10le", ["10 bits a channel read as 8"])):
        path = written(tmp_path / f"{layout}.avif", layout)
        read = picture.load(path)
        assert [note for note in read.notes if "bits" in note] == notes
        right = read.values[24, 60, 0] - read.values[24, 3, 0]
        assert 0.8 < right < 1.0, "red grows by 228 of 255 levels"


def box(name: bytes, *parts: bytes) -> bytes:
    """A box of ISO/IEC 14496-12."""
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + name + body


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        (box(b"av1C", b"\x81\x00\x0c\x00"), []),
        (box(b"av1C", b"\x81\x40\x6c\x00"), ["12 bits a channel read as 8"]),
        (box(b"av1C", b"\x81\x40\x4c\x00") * 2, ["10 bits a channel read as 8"]),
        (box(b"colr", b"nclx", b"\x00\x01\x00\x0d\x00\x06\x80"), []),
        (box(b"colr", b"nclx", b"\x00\x09\x00\x10\x00\x09\x80"), ["colour coding 9-16 (nclx) not applied"]),
        (box(b"colr", b"prof", b"\x00" * 20), []),
        (b"\x00\x00\x00\x03av1C", []),
    ],
)
def test_boxes_by_hand(properties: bytes, says: list[str]) -> None:
    for end in (0, 5):  # a whole file, and one that is cut
        inside = box(b"meta", bytes(4), box(b"hdlr", bytes(9)), box(b"iprp", box(b"ipco", properties)))
        data = box(b"ftyp", b"avif", bytes(4)) + inside + box(b"mdat", bytes(20))
        notes = notes_of(io.BytesIO(data[: len(data) - end]))
        assert len(notes) == len(says) and all(a.startswith(b) for a, b in zip(notes, says, strict=True))
    assert notes_of(io.BytesIO(b"\x89PNG" + properties)) == []
