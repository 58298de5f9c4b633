"""What an AVIF says of its values and Pillow does not: their bits and the coding of their colours.

Boxes as in ISO/IEC 14496-12 (4.2) and 23008-12; `av1C` as in the AV1 codec's ISO binding (2.3.3), the codes in a
`colr` of the kind `nclx` as in ITU-T H.273.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["notes_of"]

HEAD = 1 << 18
"""Bytes in which the boxes that describe a picture are looked for."""

PLAIN = {1, 2, 6, 13, 14, 15}
"""Transfers that are close to sRGB's, or not told: BT.709, unspecified, BT.601, sRGB, BT.2020."""

INSIDE = {b"meta": 4, b"iprp": 0, b"ipco": 0}
"""Boxes that hold boxes, and the bytes before the first of them."""


def notes_of(file: BinaryIO) -> list[str]:
    """Sentences about what is lost when such a file is read; none of other files."""
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if head[4:8] != b"ftyp":
        return []
    notes: list[str] = []
    for name, body in _boxes(head):
        if name == b"av1C" and len(body) >= 3 and body[2] & 0x40:
            notes.append(f"{12 if body[2] & 0x20 else 10} bits a channel read as 8")
        elif name == b"colr" and body[:4] == b"nclx" and len(body) >= 11:
            primaries, transfer = (int.from_bytes(body[at : at + 2], "big") for at in (4, 6))
            if transfer not in PLAIN or primaries not in (1, 2, 5, 6, 7):
                notes.append(f"colour coding {primaries}-{transfer} (nclx) not applied: values are as stored")
    return list(dict.fromkeys(notes))  # one for all the parts of a grid, or the alpha's


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, name, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if size == 0 else at + size
        if end < at + start:
            return
        body = data[at + start : end]
        yield name, body
        if name in INSIDE:
            yield from _boxes(body[INSIDE[name] :])
        at = end
