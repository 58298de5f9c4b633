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
        (f"[grid]\nseed = {list(range(1100))}\nrate = {[0.1] * 1000}\n", "more than 1,000,000 points"),
    ],
)
def test_files_that_cannot_be_meant(rest: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        written(tmp_path, rest)
    assert "sweep.toml" in str(caught.value)
