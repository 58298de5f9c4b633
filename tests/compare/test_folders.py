"""Folders of comparisons and sweeps: none goes on in another's, and their names are names everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import written

from sfumato.compare import sweep
from sfumato.compare.comparison import Contestant, Request, compare
from sfumato.compare.folders import MARKS, claim, folder_name
from sfumato.errors import RunError
from sfumato.recipe import Recipe


@pytest.mark.parametrize("kind", MARKS)
@pytest.mark.parametrize("there", MARKS)
def test_a_folder_belongs_to_what_it_holds(kind: str, there: str, tmp_path: Path) -> None:
    claim(tmp_path, kind)
    (tmp_path / MARKS[there]).write_text("{}")
    if kind == there:
        claim(tmp_path, kind)
        return
    with pytest.raises(RunError, match=f"holds a {there}, not a {kind}"):
        claim(tmp_path, kind)


def test_neither_goes_on_in_the_folder_of_another(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "request.json").write_text("{}")
    with pytest.raises(RunError, match="holds a comparison"):
        sweep.run(written(tmp_path, "[grid]\nseed = [0]\n"), tmp_path / "c")
    for mark in ("sweep.json", "recipe.json"):
        (tmp_path / mark).mkdir()
        (tmp_path / mark / mark).write_text("{}")
        with pytest.raises(RunError, match="not a comparison"):
            compare(Request((Contestant("a", Recipe()),), (str(photo),)), tmp_path / mark)


@given(st.text())
def test_any_words_give_a_name(words: str) -> None:
    name = folder_name(words)
    assert len(name.encode()) <= 80 and not set("/\\\0:") & set(name)
