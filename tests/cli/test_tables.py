"""Runs as tables: a score for every task, what differs, orders, names that must be unique."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sfumato.__main__ import main
from sfumato.cli import tables
from sfumato.recipe import NAMED, NAMED_FOR, Recipe
from sfumato.runs import overview
from sfumato.words import width


def make(name: str, recipe: Recipe = NAMED["classic"][0], **scores: Any) -> Path:
    """A finished run that holds nothing but its three small files."""
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(recipe.to_json())
    (folder / "origin.json").write_text(json.dumps({"format": 1, "started": "2026-01-01T00:00:00+00:00"}))
    line = {"v": 1, "step": 9, "total_steps": 9, "epoch": 3.14159, "seconds": 12.3456, "loss": 0.1, **scores}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    return folder


def listed(sort: str = "name") -> list[list[str]]:
    return [row.split() for row in tables.list_text(overview("runs"), sort, "runs").splitlines()[1:]]


def test_every_task_has_a_score_and_says_what_differs(folder: Path) -> None:
    make("a-picture", NAMED["classic"][0].replace(rate=0.5), psnr=31.256)
    make("b-digits", NAMED_FOR["digits"]["best"][0].replace(batch=64, seed=3), test_error=0.0123)
    make("c-other", Recipe(task="echo"), accuracy=0.5)
    first, second, third = tables.list_text(overview("runs"), "name", "runs").splitlines()[1:]
    assert (
        "31.26 dB" in first and first.endswith("classic, rate 0.5") and " 3.1 " in first and " 12.3 " in first
    )
    assert "1.23 % errors" in second and second.endswith("best, batch 64, seed 3")
    assert third.endswith("echo")


@pytest.mark.parametrize("columns", [200, 120, 95, 80, 68])
def test_no_line_of_the_list_is_broken_in_a_terminal(folder: Path, columns: int) -> None:
    name = "2026-11-28_1352_mona-lisa_4x300-relu_fee193"
    make(name, NAMED["classic"][0].replace(rate=0.5, batch=7, net=(300,)), psnr=31.256)
    make("b", NAMED["classic"][0].replace(seed=3), psnr=20)
    make("長い名前", psnr=20)
    lines = tables.list_text(overview("runs"), "name", "runs", columns).splitlines()
    assert max(map(width, lines)) <= columns
    assert all("31.26 dB" in line for line in lines if name in line)
    assert ("12.3" in "".join(lines)) == (columns >= 80)
    assert any("…" in line for line in lines) == (columns == 95)
    assert any("classic, net 1x300, rate 0.5" in line for line in lines) == (columns >= 120)


@pytest.mark.parametrize("sort", ["psnr", "score"])
def test_an_exact_painting_is_the_best_of_all_and_an_unknown_score_the_last(folder: Path, sort: str) -> None:
    make("low", psnr=20.0)
    make("exact", psnr=None)
    make("high", psnr=40.0)
    make("none")
    assert [row[0] for row in listed(sort)] == ["none", "low", "high", "exact"]


def test_errors_are_better_the_smaller(folder: Path) -> None:
    recipe = NAMED_FOR["digits"]["best"][0]
    for name, error in (("a", 0.02), ("b", 0.01), ("c", 0.03)):
        make(name, recipe, test_error=error)
    assert [row[0] for row in listed("score")] == ["c", "a", "b"]


def test_an_exact_painting_is_infinite_in_a_table_file(folder: Path) -> None:
    make("exact", psnr=None)
    make("none")
    tables.write(overview("runs"), Path("runs.csv"))
    rows = {row["run"]: row for row in csv.DictReader(Path("runs.csv").read_text().splitlines())}
    assert rows["exact"]["psnr"] == "inf" and rows["none"]["psnr"] == ""


def test_names_are_unique_or_refused_with_those_that_were_meant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ape", "ape-2", "grape", "zebra"):
        make(name, psnr=1.0)
    for text, took in (("ape", "ape"), ("ape-", "ape-2"), ("g", "grape"), ("bra", "zebra")):
        assert main(["runs", text]) == 0
        out, err = capsys.readouterr()
        assert f"runs/{took}\n" in out.replace("  ", " ").replace("run ", "")
        assert (f"{text}: runs/{took}" in err) == (text != took)
    for text in ("ap", "e"):
        assert main(["runs", text, "--rm"]) == 1
        err = capsys.readouterr().err
        assert err.startswith(f"error: {text!r} names ") and "ape-2" in err and "hint: " in err
    assert len(overview("runs")) == 4
