"""Whether the compiled module is made of the sources that lie beside it.

An editable install is compiled anew only when somebody asks for it: after a `git pull` an older engine would go on
training without a word.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

__all__ = ["beside", "digest", "why_stale"]


def beside() -> Path | None:
    """`native/` of the checkout that this package is used from; None where it is installed without one."""
    found = Path(__file__).parents[2] / "native"
    return found if (found / "bind.cc").is_file() else None


def digest(native: Path) -> str:
    """Of the sources of the module, as CMakeLists.txt takes it: SHA-256 of a line a file, sorted by name."""
    files = sorted((p for p in native.iterdir() if p.suffix in (".cc", ".h")), key=lambda path: path.name)
    lines = (f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def why_stale(made_of: str) -> str | None:
    """What to say of a module made of sources with this digest; None where they lie beside it, or none do."""
    native = beside()
    if native is None or digest(native) == made_of:
        return None
    return (
        "the compiled engine is of other sources than native/\n"
        f"hint: it is compiled anew by make paint or make test, or by pip install --editable {native.parent}"
    )
