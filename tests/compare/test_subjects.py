"""Names of the pictures of a comparison: of files and tables, no two alike."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sfumato.compare.subjects import _name


@given(st.lists(st.text(st.characters(exclude_characters="/\0", codec="utf-8")), max_size=5))
def test_names_differ_and_are_names_of_files(stems: list[str]) -> None:
    names: list[str] = []
    for stem in [*stems, *stems]:
        names.append(_name(stem, names))
    assert len(set(names)) == len(names)
    for name in names:
        assert name.isprintable() and not set("/\\") & set(name)
        assert 1 <= len(f"paintings-{name}.png".encode()) <= 255
