"""The list of runs and its cache: never wrong, whatever happens to either."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from sfumato.cli import tables
from sfumato.errors import RecipeError, RunError
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory, find, index, listing, overview


def make(folder: Path, number: int, step: int = 10, total: int = 10) -> Path:
    """A run directory without a training."""
    run = folder / f"run-{number:03d}"
    run.mkdir(parents=True)
    (run / "recipe.json").write_text(Recipe(seed=number).to_json())
    started = f"2026-11-28T07:{number // 60:02d}:{number % 60:02d}+00:00"
    (run / "origin.json").write_text(json.dumps({"format": 1, "started": started}))
    lines = [{"v": 1, "step": s, "total_steps": total, "psnr": 20.0 + s} for s in range(step + 1)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five runs, and a cache for so few."""
    monkeypatch.setattr(index, "WORTH", 3)
    for number in range(5):
        make(tmp_path / "runs", number)
    return tmp_path / "runs"


def told(folder: Path) -> list[Any]:
    return [(e.name, e.state, e.last, e.recipe) for e in overview(folder)]


def directly(folder: Path) -> list[Any]:
    """The same without a cache, from the directories themselves."""
    found = []
    for path in sorted(folder.iterdir()):
        if (path / "recipe.json").exists():
            run = RunDirectory(path)
            found.append((run.name, run.state, run.last, json.loads(run.recipe.to_json())))
    return found


def test_the_second_look_reads_no_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = told(runs)
    assert first == directly(runs) and (runs / index.CACHE).exists()
    monkeypatch.setattr(index, "_read", lambda folder: pytest.fail(f"{folder} was read again"))
    assert told(runs) == first


def test_few_runs_need_no_cache(tmp_path: Path) -> None:
    make(tmp_path / "runs", 0)
    assert len(overview(tmp_path / "runs")) == 1 and not (tmp_path / "runs" / index.CACHE).exists()


def grow(runs: Path) -> None:
    with (runs / "run-001" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 11, "total_steps": 20, "psnr": 40.0}) + "\n")


def change(runs: Path) -> None:
    (runs / "run-002" / "recipe.json").write_text(Recipe(seed=2, rate=0.5).to_json())


def remove(runs: Path) -> None:
    shutil.rmtree(runs / "run-003")


def rename(runs: Path) -> None:
    (runs / "run-003").rename(runs / "other")


def add(runs: Path) -> None:
    make(runs, 77, step=3)


def spoil(runs: Path) -> None:
    (runs / index.CACHE).write_bytes(b"SQLite format 3\0" + os.urandom(4000))


def empty(runs: Path) -> None:
    (runs / index.CACHE).write_bytes(b"")


def another_layout(runs: Path) -> None:
    base = sqlite3.connect(runs / index.CACHE)
    base.execute("DROP TABLE runs")
    base.execute("CREATE TABLE runs (other)")
    base.execute("PRAGMA user_version = 999")
    base.commit()
    base.close()


@pytest.mark.parametrize("happens", [grow, change, remove, rename, add, spoil, empty, another_layout])
def test_whatever_happens_the_list_is_that_of_the_directories(runs: Path, happens: Any) -> None:
    told(runs)
    happens(runs)
    by_name = sorted(told(runs), key=lambda item: str(item[0]))
    assert by_name == directly(runs)
    assert told(runs) == told(runs)
    base = sqlite3.connect(runs / index.CACHE)
    assert {name for (name,) in base.execute("SELECT name FROM runs")} == {
        name for name, *_ in directly(runs)
    }
    base.close()


def test_a_cache_that_is_locked_or_cannot_be_written_is_done_without(runs: Path) -> None:
    told(runs)
    grow(runs)
    base = sqlite3.connect(runs / index.CACHE)
    base.execute("BEGIN EXCLUSIVE")
    assert told(runs) == directly(runs)
    base.rollback()
    base.close()


def test_an_unreadable_run_is_listed_as_damaged_and_comes_back_when_mended(runs: Path) -> None:
    good = (runs / "run-000" / "recipe.json").read_text()
    (runs / "run-000" / "recipe.json").write_text("{")
    assert [e.name for e in overview(runs) if e.state == "damaged"] == ["run-000"]
    assert len(listing(runs)) == 4
    (runs / "run-000" / "recipe.json").write_text(good)
    assert len(listing(runs)) == 5


def test_a_running_one_is_told_apart_although_it_is_in_the_cache(runs: Path) -> None:
    told(runs)
    with RunDirectory(runs / "run-004").lock():
        assert [e.state for e in overview(runs)] == ["done"] * 4 + ["running"]


def test_the_newest_is_found_by_start_and_not_by_name(runs: Path) -> None:
    (runs / "run-004").rename(runs / "a")
    assert find("last", str(runs)).name == "a"
    with pytest.raises(RunError, match="names 4 runs"):
        find("run", str(runs))


def test_runs_as_a_table(runs: Path, tmp_path: Path) -> None:
    import csv

    import pyarrow.parquet

    tables.write(overview(runs), tmp_path / "runs.parquet")
    rows = pyarrow.parquet.read_table(tmp_path / "runs.parquet").to_pylist()
    assert [r["run"] for r in rows] == [f"run-00{i}" for i in range(5)] and rows[3]["seed"] == 3
    assert rows[0]["psnr"] == 30.0 and rows[0]["net"] == "[300, 300, 300, 300]" and rows[0]["state"] == "done"
    tables.write(overview(runs), tmp_path / "runs.csv")
    with (tmp_path / "runs.csv").open() as file:
        assert [line["rate"] for line in csv.DictReader(file)] == ["0.002"] * 5
    with pytest.raises(RecipeError, match=r"\.parquet or \.csv"):
        tables.write(overview(runs), tmp_path / "runs.xlsx")
