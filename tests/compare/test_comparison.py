"""A comparison from request to results, and what is refused before anything runs."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from here import Here

from sfumato import picture
from sfumato.compare import comparison, summary, workers
from sfumato.compare.budget import Budget
from sfumato.compare.comparison import Comparison, Contestant, Request, compare, read_contestant
from sfumato.errors import RecipeError, RunError
from sfumato.recipe import Recipe, named

SMALL = Recipe(net=(8, 8), batch=32, epochs=2, engine="eager", rate=0.01)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", Here)
    monkeypatch.setattr(comparison, "Pool", Here)


# The flow ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_a_comparison_from_request_to_table(photos: list[str], tmp_path: Path) -> None:
    """Two recipes, two pictures, two seeds, three trials; again from disk; more seeds reuse what is there."""
    request = Request(
        (Contestant("small", SMALL), Contestant("wide", SMALL.replace(net=(16, 16)))),
        pictures=tuple(photos),
        budget=Budget(epochs=2),
        seeds=2,
        tune=3,
        targets=(5.0, 90.0),
    )
    said: list[str] = []
    done = compare(request, tmp_path / "out", say=said.append)
    assert len(done.rows) == 8 and not done.failures
    assert [(r.recipe, r.picture, r.seed) for r in done.rows[:3]] == [
        ("small", "photo0", 0), ("small", "photo0", 1), ("small", "photo1", 0)
    ]  # fmt: skip
    assert all(math.isfinite(r.psnr_hidden) and r.epochs == 2 and r.seconds > 0 for r in done.rows)
    assert len(list((tmp_path / "out" / "tuning").glob("*_*"))) == 6
    assert len({r.run_seed for r in _with_seeds(done)}) == 4, (
        "pictures have seeds of their own, shared by recipes"
    )
    text = summary.text(done)
    assert max(map(len, text.splitlines())) <= 80
    assert "small against wide, hidden pixels" in text and "never" in text and "tuned: wide: rate" in text
    again = compare(request, tmp_path / "out")
    assert again.rows == done.rows and summary.text(again) == text
    more = compare(replace(request, seeds=3), tmp_path / "out", say=said.append)
    assert [(r.folder, r.psnr) for r in more.rows if r.seed < 2] == [(r.folder, r.psnr) for r in done.rows]
    assert sum("was there" in line for line in said) == 6 + 8
    summary.write_csv(done, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 8 and lines[0]["seconds_to_5"] and not lines[0]["seconds_to_90"]


def _with_seeds(done: Comparison) -> list[Any]:
    from types import SimpleNamespace

    from sfumato.runs import RunDirectory

    return [SimpleNamespace(run_seed=RunDirectory(r.folder).recipe.seed) for r in done.rows]


@pytest.mark.usefixtures("here")
def test_equal_seconds_are_planned_from_speed(
    photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = iter([0.01, 0.02] * comparison.PROBES)
    monkeypatch.setattr(comparison, "seconds_per_step", lambda recipe, source: next(costs))
    request = Request(
        (Contestant("a", SMALL), Contestant("b", SMALL.replace(net=(4,)))),
        (photos[0],),
        Budget(seconds=0.1),
        1,
        tune=0,
    )
    done = compare(request, tmp_path / "out")
    assert [r.steps for r in done.rows] == [10, 5]
    again = compare(request, tmp_path / "out")  # no costs are left: the speeds are kept
    assert [r.steps for r in again.rows] == [10, 5]
    values = 1 - picture.load(photos[0]).values
    picture.save(picture.from_array(values), tmp_path / "other.png")
    pictures = (photos[0], str(tmp_path / "other.png"))  # another picture of that size costs the same
    more = compare(replace(request, pictures=pictures), tmp_path / "out")
    assert [r.steps for r in more.rows] == [10, 10, 5, 5]


@pytest.mark.usefixtures("here")
def test_a_run_that_diverges_is_no_verdict_and_no_end(photos: list[str], tmp_path: Path) -> None:
    wild = SMALL.replace(optimizer="sgd", rate=1e5, epochs=10)
    request = Request(
        (Contestant("wild", wild), Contestant("tame", SMALL)), (photos[0],), Budget(epochs=9), 2, tune=0
    )
    done = compare(request, tmp_path / "out")
    assert len(done.failures) == 2 and {r.recipe for r in done.failures} == {"wild"}
    text = summary.text(done)
    assert (
        "no verdict, 2 of 2 runs of wild failed" in text
        and "failed: wild on photo0, seed 0: diverged" in text
    )
    with pytest.raises(RunError, match="diverged"):
        compare(request, tmp_path / "out", fail_fast=True)


def test_contestants_are_named_changed_or_read(tmp_path: Path) -> None:
    assert read_contestant("siren") == Contestant("siren", named("siren"))
    changed = read_contestant("classic+optimizer=adam:beta2=0.99+rate=1e-3")
    assert changed.label == "classic+optimizer=adam:beta2=0.99+rate=1e-3"
    assert changed.recipe == named("classic").replace(optimizer="adam:beta2=0.99", rate=1e-3)
    path = tmp_path / "mine.json"
    path.write_text(SMALL.to_json())
    assert read_contestant(str(path)) == Contestant("mine", SMALL)
    for bad in ("sirn", "classic+rat=3", "classic+rate=fast"):
        with pytest.raises(RecipeError):
            read_contestant(bad)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contestants": ()}, "at least one recipe"),
        ({"contestants": (Contestant("a", SMALL), Contestant("a", SMALL))}, "named twice"),
        ({"seeds": 0}, "seeds=0"),
        ({"tune": -1}, "tune=-1"),
        ({"pictures": ("a.png", "a.png")}, "picture is named twice"),
        ({"targets": (math.nan,)}, "targets"),
    ],
)
def test_requests_that_cannot_be_meant(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        replace(Request((Contestant("a", SMALL),)), **change)


def test_what_cannot_run_is_refused_before_anything_runs(photos: list[str], tmp_path: Path) -> None:
    fine = Contestant("fine", SMALL)
    sharp = Contestant("sharp", named("sharp"))
    with pytest.raises(RecipeError, match="no width"):
        compare(Request((fine, sharp), (photos[0],), Budget(parameters=5000)), tmp_path / "out")
    with pytest.raises(RecipeError, match="must not be scored"):
        compare(Request((fine,), (photos[0],), tune_on=(photos[0],)), tmp_path / "out")
    with pytest.raises(Exception, match=r"absent\.png"):
        compare(Request((fine,), (str(tmp_path / "absent.png"),)), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


def test_two_comparisons_in_one_folder(photos: list[str], tmp_path: Path) -> None:
    from sfumato.runs.lock import holding

    (tmp_path / "out").mkdir()
    with holding(tmp_path / "out"), pytest.raises(RunError, match="in use by another process"):
        compare(Request((Contestant("fine", SMALL),), (photos[0],)), tmp_path / "out")
