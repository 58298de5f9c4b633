"""Sweep files that cannot be meant are refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweeps import written

from sfumato.errors import RecipeError


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        ("", "one of the tables"),
        ("[grid]\nrate = [1]\n[random]\nrate=[1]\n", "one of the tables"),
        ("[grid]\n", "names no field"),
        ("[grid]\nrat = [0.1]\n", "'rat' is unknown; did you mean 'rate'"),
        ("[grid]\nrate = []\n", "has no values"),
        ("[grid]\nrate = 0.1\n", "must be a list"),
        ("[grid]\nrate = [-1.0]\n", "rate=-1.0 must be"),
        ('[grid]\nrate = ["fast"]\n', "not a valid float"),
        ("[random]\nrate = {low = 1, high = 2}\n", "needs trials"),
        ("[random]\nrate = {low = 2, high = 1}\ntrials = 3\n", "low below high"),
        ("[random]\nrate = {low = 0, high = 1, log = true}\ntrials = 3\n", "low below high"),
        ("[random]\nrate = {lo = 0, high = 1}\ntrials = 3\n", "low below high"),
        ("[search]\nrate = 3\ntrials = 3\n", "or a range"),
        ("[grid]\nrate = [0.1]\n[halving]\nfactor = 1\n", "halving"),
        ("[grid]\nrate = [0.1]\n[halvin]\nfactor = 2\n", "'halvin' is unknown; did you mean"),
        ("[grid]\nrate = [0.1\n", "is not TOML"),
        ("[grid]\nrate = [0.1]\nrate = [0.2]\n", "is not TOML"),
        ("[[grid]]\nrate = [0.1]\n", "must be tables"),
        ("[grid]\nthreads = [1, 2]\n", "threads cannot be swept"),
        ("[grid]\nsteps = [5]\nepochs = [1, 2]\n", "epochs and steps exclude one another"),
        ("[grid]\nepochs = [1, 2]\n", "epochs and steps exclude one another"),
        ("[random]\nrate = [0.1]\ntrials = true\n", "needs trials"),
        ("[random]\nbatch = {low = 16.0, high = 64.0}\ntrials = 3\n", "not a valid int"),
        ("[search]\nactivation = {low = 1, high = 2}\ntrials = 3\n", "not a valid str"),
        ("[search]\nskip = {low = 0.0, high = 1.0}\ntrials = 3\n", "not a valid bool"),
        ("[grid]\nrate = [0.1]\n[halving]\nfirst = 0\n", "share of the budget"),
        ("[grid]\nrate = [0.1]\n[halving]\nfactor = 1.0000001\n", "halving"),
        (f"[grid]\nseed = {list(range(1100))}\nrate = {[0.1] * 1000}\n", "more than 1,000,000 points"),
    ],
)
def test_files_that_cannot_be_meant(rest: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        written(tmp_path, rest)
    assert "sweep.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("picture = 3", "picture=3 must be text"),
        ('picture = ["a.png", "b.png"]', "must be text"),
        ('picture = ""', "must be text"),
        ("metric = 1", "metric=1 must be text"),
        ('recipe = ["siren"]', "must be text"),
        ("threads = 2", "threads cannot be set"),
        ("halving = 0", "must be tables"),
        ("halving = false", "must be tables"),
    ],
)
def test_lines_above_the_tables_that_cannot_be_meant(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=words):
        written(tmp_path, "[grid]\nseed = [0]\n", f"{line}\n")


def test_a_range_of_whole_numbers_may_be_of_widths(tmp_path: Path) -> None:
    asked = written(
        tmp_path, "[random]\nnet = {low = 4, high = 9}\nbatch = {low = 8, high = 9}\ntrials = 3\n"
    )
    assert [axis.tried()[:2] for axis in asked.axes.values() if not isinstance(axis, list)] == [
        (4, 9),
        (8, 9),
    ]
