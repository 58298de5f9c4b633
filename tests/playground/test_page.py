"""The built page in the package: made from the sources beside it, small, and without anything from elsewhere."""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib.resources import files
from pathlib import Path

PAGE = files("sfumato.playground").joinpath("page")
SOURCES = Path(__file__).parents[2] / "page"


def test_the_built_page_is_that_of_the_sources() -> None:
    """`make page` writes what it was built from; page/vite.config.ts adds up the same files."""
    own = [SOURCES / name for name in ("index.html", "package-lock.json", "tsconfig.json", "vite.config.ts")]
    found = [*(path for path in (SOURCES / "src").rglob("*") if path.is_file()), *own]
    hashed = hashlib.sha256()
    for name, path in sorted((path.relative_to(SOURCES).as_posix(), path) for path in found):
        if not name.endswith(".test.ts"):
            hashed.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
    assert PAGE.joinpath("sources.sha256").read_text().strip() == hashed.hexdigest(), "run: make page"


def test_the_page_is_below_150_kilobytes() -> None:
    together = sum(
        len(gzip.compress(PAGE.joinpath(name).read_bytes())) for name in ("index.html", "app.js", "app.css")
    )
    assert together < 150_000


def test_the_page_asks_nothing_of_another_machine() -> None:
    html = PAGE.joinpath("index.html").read_text(encoding="utf-8")
    links = set(re.findall(r'(?:src|href)="([^"]+)"', html))
    assert {link for link in links if not link.startswith("data:")} == {"/app.js", "/app.css"}
    for name in ("app.js", "app.css"):
        text = PAGE.joinpath(name).read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[\w./-]+", text))
        known = (
            "https://svelte.dev/e/",
            "http://www.w3.org/",
        )  # names of errors and of namespaces, never asked for
        assert all(address.startswith(known) for address in addresses)


def test_the_lock_file_names_no_registry() -> None:
    assert "resolved" not in (SOURCES / "package-lock.json").read_text(encoding="utf-8")
