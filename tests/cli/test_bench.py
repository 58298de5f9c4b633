"""The table of `sfumato bench`: ratios of rounds, what an engine cannot run, and when nothing is decided."""

from __future__ import annotations

import pytest

from sfumato.cli import bench
from sfumato.errors import RecipeError
from sfumato.recipe import Recipe

TINY = Recipe(net=(8,), batch=16, optimizer="adam", schedule="constant", threads=1)


def test_a_workload_is_measured_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "HEIGHT", 5)
    monkeypatch.setattr(bench, "WIDTH", 9)
    row = bench.measure("tiny", TINY, "native", steps=4, rounds=3)
    assert row["workload"] == "tiny" and row["engine"] == "native" and row["rounds"] == 3
    assert 0 < row["smallest"] <= row["ratio"] <= row["largest"]
    assert row["samples_per_second"] > 0 and row["share_of_peak"] >= 0 and 0 <= row["skipped"] < 1


def test_what_cannot_run_says_why_and_an_unknown_workload_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    work = bench.Workload("dropped", TINY.replace(loss="l1", dropout=(0.1, 0.1)), 2)
    monkeypatch.setattr(bench, "WORKLOADS", (work,))
    monkeypatch.setattr(
        bench, "measure", lambda title, recipe, name, steps, rounds: {"workload": title, "engine": name}
    )
    told: list[str] = []
    rows = bench.run(1, 1, tell=told.append)
    assert told == ["cuda: dropped"] * ("cuda" in {row["engine"] for row in rows}) + ["native: dropped"]
    assert {row["workload"] for row in rows} == {"dropped"}
    with pytest.raises(RecipeError, match="dropped"):
        bench.run(1, 1, "no such workload")


@pytest.mark.parametrize(
    ("smallest", "largest", "undecided"), [(1.1, 1.4, False), (0.7, 0.9, False), (0.9, 1.1, True)]
)
def test_a_spread_that_crosses_1_decides_nothing(smallest: float, largest: float, undecided: bool) -> None:
    row = {"workload": "w", "engine": "native", "ratio": 1.0, "samples_per_second": 1234567}
    text = bench.text([{**row, "smallest": smallest, "largest": largest}])
    assert ("undecided" in text) == undecided and "1,234,567 samples/s" in text
    assert "(no GPU)" in bench.text([{"workload": "w", "engine": "cuda", "why_not": "no GPU"}])
