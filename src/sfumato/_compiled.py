"""Whether the compiled module `sfumato._native` can be used here: whoever imports it looks at `MISSING` first.

The package works without it. Installed as pure Python it has none; one built for another Python cannot be
imported, and one of other sources than the checkout's must not be used (`_sources`).
"""

from __future__ import annotations

from ._sources import why_stale

__all__ = ["MISSING"]

try:
    import sfumato._native as _native
except ImportError as error:
    MISSING: str | None = (
        f"it is not built here ({error})\nhint: install a C++ compiler and reinstall sfumato"
    )
    """Why the module cannot be used here for anything, as a sentence and a hint; None where it can."""
else:
    MISSING = why_stale(getattr(_native, "sources", ""))  # modules built before there were digests have none
