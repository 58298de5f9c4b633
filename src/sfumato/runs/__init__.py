"""Memory: run directories, what is written into them at each beat, and how they are found. Knows no view.

Nothing here imports torch or numpy at the top, so that listing runs is quick.
"""

from __future__ import annotations

from .directory import RunDirectory
from .drafts import remove
from .index import Entry, find, listing, overview, where

__all__ = ["Entry", "RunDirectory", "find", "listing", "overview", "remove", "where"]
