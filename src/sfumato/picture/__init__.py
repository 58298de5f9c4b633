"""Bytes to `Picture` and back: reading, writing, resizing, contact sheets.

Values are the *stored* ones: no colour profile is applied, it is carried along (`Picture.icc`), so that a painting
that gets the profile of its picture looks like it everywhere. Everything that was done to a picture on loading is
one line of `Picture.notes`. Nothing here knows of coordinates (that is `pixels`), of networks or of runs.
"""

from __future__ import annotations

from ._reading import MAX_PIXELS, from_pillow, load
from ._refusals import LARGEST
from ._sheets import sheet
from ._values import Picture, fit, flatten, from_array, parse_size, resize
from ._writing import LONGEST, encode, save

__all__ = [
    "LARGEST",
    "LONGEST",
    "MAX_PIXELS",
    "Picture",
    "encode",
    "fit",
    "flatten",
    "from_array",
    "from_pillow",
    "load",
    "parse_size",
    "resize",
    "save",
    "sheet",
]
