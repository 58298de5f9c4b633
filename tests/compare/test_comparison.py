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
def test_few_looks_give_the_same_end(photos: list[str], tmp_path: Path) -> None:
    asked = Request((Contestant("a", SMALL),), (photos[0],), Budget(epochs=3), 1, tune=0)
    many, few = (compare(replace(asked, looks=n), tmp_path / str(n)).rows[0] for n in (9, 2))
    assert len(many.curve) > len(few.curve) and many.psnr == few.psnr and many.steps == few.steps


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
    for bad in ("sirn", "classic+rat=3", "classic+rate=fast", "classic+task=digits"):
        with pytest.raises(RecipeError):
            read_contestant(bad)
    with pytest.raises(RecipeError, match="changes rate twice"):
        read_contestant("classic+rate=0.1+batch=9+rate=0.2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"contestants": ()}, "at least one recipe"),
        ({"contestants": (Contestant("a", SMALL), Contestant("a", SMALL))}, "named twice"),
        ({"seeds": 0}, "seeds=0"),
        ({"tune": -1}, "tune=-1"),
        ({"looks": 1}, "looks=1"),
        ({"targets": (math.nan,)}, "targets"),
        ({"targets": (30.0, 25.0, 30.0)}, "target is named twice"),
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


@pytest.mark.parametrize("name", [*comparison.SET_HERE, *comparison.BUDGETED])
def test_a_change_that_the_comparison_would_undo_is_refused(name: str) -> None:
    changed = read_contestant(f"siren+{name}={'' if name == 'cuts' else 3}")
    with pytest.raises(RecipeError, match=rf"siren\+{name}=3?: {name} is set for all recipes alike"):
        Request((changed,), budget=Budget(seconds=3))
    if name in comparison.BUDGETED:  # with equal parameters alone each recipe has its own
        assert Request((changed,), budget=Budget(parameters=300)).contestants == (changed,)


@pytest.mark.parametrize("budget", [Budget(epochs=2), Budget(seconds=2), Budget(epochs=2, parameters=130)])
def test_two_recipes_that_are_one_are_refused(budget: Budget, photos: list[str], tmp_path: Path) -> None:
    """Whatever the comparison decides itself makes no difference, so a verdict would be about nothing."""
    one = Contestant("one", SMALL)
    for twin in (
        SMALL,
        SMALL.replace(epochs=9, seed=4, threads=2),
        SMALL.replace(steps=7),
        SMALL.replace(held_out="0.1"),
    ):
        with pytest.raises(RecipeError, match="'one' and 'twin' are the same recipe here"):
            compare(Request((one, Contestant("twin", twin)), (photos[0],), budget), tmp_path / "out")
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.usefixtures("here")
def test_pictures_of_one_name_are_two_pictures(photos: list[str], tmp_path: Path) -> None:
    """Files of two folders may share a name; their runs must not."""
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / Path(photos[0]).name
    other.write_bytes(Path(photos[1]).read_bytes())
    asked = Request((Contestant("a", SMALL),), (photos[0], str(other)), Budget(epochs=1), 1, tune=0)
    done = compare(asked, tmp_path / "out")
    assert [(s.name, s.width) for s in done.subjects] == [("photo0", 14), ("photo0-2", 11)]
    assert [r.picture for r in done.rows] == ["photo0", "photo0-2"] and done.rows[0].folder != done.rows[
        1
    ].folder


def test_one_picture_of_two_names_is_refused(photos: list[str], tmp_path: Path) -> None:
    """By its content: its runs would count as evidence twice, and it would be tuned on what is scored."""
    copy = tmp_path / "copy.png"
    copy.write_bytes(Path(photos[0]).read_bytes())
    asked = Request((Contestant("a", SMALL),), (photos[0], str(copy)), Budget(epochs=1), 1)
    with pytest.raises(RecipeError, match=r"a picture is named twice: .*copy"):
        compare(asked, tmp_path / "out")
    for tune_on, words in (((str(copy),), "must not be scored"), ((photos[1], photos[1]), "named twice")):
        with pytest.raises(RecipeError, match=words):
            compare(replace(asked, pictures=(photos[0],), tune_on=tune_on), tmp_path / "out")


def test_a_recipe_that_cannot_have_the_parameters_is_named(photos: list[str], tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^sharp: no width of this net gives 5,000 parameters"):
        compare(
            Request((Contestant("sharp", named("sharp")),), (photos[0],), Budget(parameters=5000)),
            tmp_path / "o",
        )


@pytest.mark.usefixtures("here")
def test_a_budget_below_a_step_is_refused(
    photos: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "seconds_per_step", lambda recipe, source: 0.5)
    asked = Request((Contestant("slow", SMALL),), (photos[0],), Budget(seconds=0.4), 1, tune=0)
    with pytest.raises(
        RecipeError, match=r"slow: a step on photo0 takes 0.5 s, more than the budget of 0.4 s"
    ):
        compare(asked, tmp_path / "out")


@pytest.mark.parametrize("content", ["", "[]", '{"a": NaN}', '{"a": "fast"}', "\0", '{"a": [1]}'])
def test_damaged_speeds_are_said(content: str, photos: list[str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "speeds.json").write_text(content)
    asked = Request((Contestant("a", SMALL),), (photos[0],), Budget(seconds=1), 1, tune=0)
    with pytest.raises(RunError, match=r"speeds\.json is damaged"):
        compare(asked, tmp_path / "out")
