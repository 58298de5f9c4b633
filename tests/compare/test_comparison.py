"""Comparisons: budgets, tuning, the whole flow on tiny pictures, tables, bad requests."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from here import Here

from sfumato import nets, picture
from sfumato.compare import budget, comparison, summary, tuning, workers
from sfumato.compare.budget import Budget, with_parameters
from sfumato.compare.comparison import Comparison, Contestant, Request, Row, Subject, compare, read_contestant
from sfumato.errors import RecipeError, RunError
from sfumato.recipe import Recipe, named

SMALL = Recipe(net=(8, 8), batch=32, epochs=2, engine="eager", rate=0.01)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "Pool", Here)
    monkeypatch.setattr(comparison, "Pool", Here)


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    paths = []
    for number, shape in enumerate([(12, 14), (15, 11)]):
        values = np.random.default_rng(number).integers(0, 256, (*shape, 3)) / np.float32(255)
        paths.append(str(tmp_path / f"photo{number}.png"))
        picture.save(picture.from_array(values), Path(paths[-1]))
    return paths


# Budgets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", Budget(seconds=30)),
        ("1.5m", Budget(seconds=90)),
        ("1h", Budget(seconds=3600)),
        ("500epochs", Budget(epochs=500)),
        ("1epoch", Budget(epochs=1)),
        ("300kparams", Budget(parameters=300_000)),
        ("20000params, 30s", Budget(seconds=30, parameters=20_000)),
    ],
)
def test_budgets_are_read(text: str, expected: Budget) -> None:
    assert Budget.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "0s", "-3s", "soon", "1e9h", "30", "30s,40s", "30s,5epochs", "nans", "9999999h"]
)
def test_budgets_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="budget="):
        Budget.parse(text)


@pytest.mark.parametrize("name", ["classic", "siren", "fourier", "2012-code"])
@pytest.mark.parametrize("wanted", [20_000, 300_000])
def test_widths_give_the_wanted_parameters(name: str, wanted: int) -> None:
    scaled = with_parameters(named(name), wanted, 2, 3)
    count = nets.build(scaled, 2, 3).parameter_count
    wider = nets.build(scaled.replace(net=tuple(w + 1 for w in scaled.net)), 2, 3).parameter_count
    assert abs(count - wanted) <= max(abs(wider - wanted), 0.1 * wanted) and len(scaled.net) == len(
        named(name).net
    )


def test_an_encoding_that_holds_more_is_refused() -> None:
    with pytest.raises(RecipeError, match="outside its layers"):
        with_parameters(named("sharp"), 20_000, 2, 3)


def test_a_step_takes_processor_time(photos: list[str]) -> None:
    assert 0 < budget.seconds_per_step(SMALL.replace(steps=20, threads=1), photos[0], at_least=0.01) < 1


# Tuning ---------------------------------------------------------------------------------------------


def test_trials_are_the_recipe_itself_and_points_around_it() -> None:
    tried = tuning.trials(named("siren"), 9)
    assert tried[0] == named("siren") and len({(t.rate, t.activation) for t in tried}) == 9
    assert all(5e-4 / 8 <= t.rate <= 5e-4 * 8 for t in tried)
    assert {tuple(k.name for k in tuning.knobs(named(n))) for n in ("siren", "finer")} == {("rate", "omega")}
    assert [k.name for k in tuning.knobs(named("fourier"))] == ["rate", "sigma"]
    assert [k.name for k in tuning.knobs(named("sharp"))] == ["rate"]


def test_every_recipe_is_tried_at_the_same_points() -> None:
    shares = [
        [math.log(t.rate / r.rate) / math.log(8) for t in tuning.trials(r, 6)]
        for r in (named("siren"), named("classic"))
    ]
    assert shares[0] == pytest.approx(shares[1], abs=0.01), "three significant digits"


def test_an_argument_is_set_beside_the_others() -> None:
    assert tuning.with_argument("fourier:bands=64,sigma=5", "sigma", 7.5) == "fourier:bands=64,sigma=7.5"
    assert tuning.with_argument("sine", "omega", 20) == "sine:omega=20"


def test_dead_leaves_cover_the_picture_and_are_the_same_each_time() -> None:
    leaves = tuning.dead_leaves(40, 30)
    assert leaves.values.shape == (40, 30, 3) and leaves.values.std() > 0.1
    assert (leaves.values == tuning.dead_leaves(40, 30).values).all()


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


# Tables ---------------------------------------------------------------------------------------------


def made(scores: dict[str, list[list[float]]], **fields: Any) -> Comparison:
    """A comparison with these PSNR (pictures, seeds) for each recipe, without a run."""
    pictures, seeds = np.shape(next(iter(scores.values())))
    subjects = [Subject(f"p{i}.png", f"p{i}", 10, 10, 3, 0) for i in range(pictures)]
    rows = [
        Row(
            label, f"p{i}", s, psnr=v, psnr_seen=v, psnr_hidden=v - 1, ssim=0.9, parameters=1234, steps=10,
            epochs=2, seconds=4, cores=1, curve=((0.0, 5.0), (2.0, v - 3), (4.0, v)),
        )
        for label, table in scores.items()
        for i, row in enumerate(table)
        for s, v in enumerate(row)
    ]  # fmt: skip
    request = Request(tuple(Contestant(label, SMALL) for label in scores), seeds=seeds, tune=0, **fields)
    return Comparison(request, Path(), subjects, {}, {}, rows)


def test_the_table_by_eye() -> None:
    text = summary.text(
        made({"siren": [[31.0, 31.2, 31.1]], "classic": [[26.0, 26.4, 26.2]]}, targets=(28.0, 35.0))
    )
    assert text.splitlines() == [
        "p0 (10x10): 30 s each, 3 seeds, hidden pixels: 0.1",
        "not tuned: each recipe's own rate",
        "",
        "recipe   param.     PSNR seen        hidden    SSIM  epochs  s/epoch",
        "siren      1234  31.10 ± 0.10  30.10 ± 0.10  0.9000       2        2",
        "classic    1234  26.20 ± 0.20  25.20 ± 0.20  0.9000       2        2",
        "",
        "seconds to (dB past it)         28 dB         35 dB",
        "siren                        2 (+3.1)  never (-3.9)",
        "classic                  never (-1.8)  never (-8.8)",
        "",
        "Verdicts: mean difference [95 % interval], p of sign flips",
        "- siren against classic, seen pixels: +4.90 dB [+4.65, +5.15], p 0.25: siren is",
        "  better on this picture",
        "- siren against classic, hidden pixels: +4.90 dB [+4.65, +5.15], p 0.25: siren",
        "  is better on this picture",
    ]


def test_no_verdict_tells_what_might_settle_it() -> None:
    few = summary.verdicts(made({"a": [[30.0, 31.0, 32.0]], "b": [[29.5, 31.2, 31.0]]}))[0]
    assert not few.better and "might settle it" in few.text and "seeds" in few.text
    same = summary.verdicts(made({"a": [[30.0, 31.0, 32.0]], "b": [[30.0, 31.1, 31.9]]}))[0]
    assert "they differ by less than" in same.text
    one = summary.verdicts(made({"a": [[30.0]], "b": [[20.0]]}))[0]
    assert not one.better and "one seed tells nothing" in one.text


def test_many_pairs_ask_for_more() -> None:
    """The same numbers that decide between two recipes do not among five."""
    rows = {"a": [[30.0, 31.0, 31.5, 30.5, 31.0]], "b": [[29.8, 30.3, 30.7, 29.9, 30.1]]}
    assert summary.verdicts(made(rows))[0].better == "a"
    others = {name: [[20.0, 20.1, 20.2, 20.1, 20.0]] for name in "cde"}
    found = next(v for v in summary.verdicts(made(rows | others)) if (v.a, v.b) == ("a", "b"))
    assert found.difference is not None and found.difference.level == 1 - 0.05 / 10 and not found.better


def test_long_labels_become_letters_in_tables() -> None:
    long = "classic+optimizer=adam:beta2=0.99+rate=0.001"
    text = summary.text(made({"siren": [[31.0, 31.2]], long: [[26.0, 26.4]]}))
    assert f"B = {long}" in text and max(map(len, text.splitlines())) <= 80


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    import pyarrow.parquet

    done = made({"a": [[30.0, 31.0]], "b": [[29.0, 29.5]]})
    summary.write_parquet(done, tmp_path / "results.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "results.parquet").to_pylist()
    names, rows = summary.table_rows(done)
    assert [list(line) for line in table] == [names] * 4 and [list(line.values()) for line in table] == rows
