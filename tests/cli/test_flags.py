"""Flags come from the recipe's fields."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import pytest

from sfumato.__main__ import main
from sfumato.cli import commands, flags
from sfumato.nets import activations
from sfumato.recipe import Recipe, public
from sfumato.recipe import flags as flagged

PLAIN = ["--dry-run", "--json"]


@pytest.mark.parametrize("verb", ["paint", "digits"])
def test_each_flag_of_a_field_reaches_the_recipe(
    verb: str,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {
        "net": "5,4",
        "activation": "tanh",
        "encoding": "raw",
        "layer": "low_rank:rank=2",
        "backward": "feedback_alignment",
        "optimizer": "sgd",
        "rate": "0.25",
        "batch": "7",
        "epochs": "3",
        "seed": "11",
        "engine": "eager",
        "held_out": "0.25",
    }
    names = list(flagged(verb))
    assert set(names) <= set(given)
    line = [part for name in names for part in (f"--{name.replace('_', '-')}", given[name])]
    source = [str(photo)] if verb == "paint" else ["--data", "digits8x8"]
    assert main([verb, *source, *line, *PLAIN]) == 0
    recipe = json.loads(capsys.readouterr().out)["recipe"]
    wanted = json.loads(Recipe().replace(**{name: given[name] for name in names}).to_json())
    assert {name: recipe[name] for name in names} == {name: wanted[name] for name in names}


def test_the_help_lists_what_the_registry_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "--help"]) == 0
    said = "".join(capsys.readouterr().out.replace("│", " ").split())
    assert "ofthehiddenlayers:" + ",".join(public(activations)) + ";" in said


def test_no_help_text_keeps_a_place_to_be_filled() -> None:
    assert not any("{" in flags._filled(f.name, f.metadata["help"]) for f in fields(Recipe))


def test_the_help_of_every_verb_ends_with_examples_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (name for name in commands.app if not name.startswith("-")):
        assert main([verb, "--help"]) == 0
        _, _, examples = capsys.readouterr().out.partition("Examples:")
        assert f"sfumato {verb}" in examples, verb


def test_options_come_from_the_file_and_the_environment_and_flags_win(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    line = ["paint", str(photo), "--net", "3", "--epochs", "1"]
    (tmp_path / "sfumato.toml").write_text(
        '[paint]\nout = "from-file"\nquiet = true\nfilm = "none"\nrate = 0.125\n'
    )
    assert main(line) == 0
    (run,) = (tmp_path / "from-file").iterdir()
    assert json.loads((run / "recipe.json").read_text())["rate"] == 0.125
    assert not list(run.glob("film.*"))
    monkeypatch.setenv("SFUMATO_PAINT_OUT", "from-environment")
    assert main(line) == 0
    assert (tmp_path / "from-environment").is_dir()
    assert main([*line, "--out", "from-flag"]) == 0
    assert (tmp_path / "from-flag").is_dir()


@pytest.mark.parametrize(
    ("table", "argv"),
    [
        ("[paint]\nfilmm = 'none'\n", ["paint", "--dry-run"]),
        ("[runs]\nsorted = 'psnr'\n", ["runs"]),
        ("[pain]\nfilmm = 'none'\n", ["paint", "--dry-run"]),
        ("[pain]\nfilmm = 'none'\n", ["runs"]),
        ("filmm = 'none'\n[paint]\nrate = 0.1\n", ["paint", "--dry-run"]),
    ],
)
def test_a_name_that_a_verb_does_not_take_is_refused_in_the_file(
    table: str,
    argv: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sfumato.toml").write_text(table)
    assert main(argv) == 2
    said = capsys.readouterr().err
    wanted = (
        "'pain' is no table of a verb" if "[pain]" in table else "filmm" if "filmm" in table else "sorted"
    )
    assert wanted in said and ("did you mean [paint]?" in said) == ("[pain]" in table)
