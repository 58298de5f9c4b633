"""The command line as its users meet it: streams, exit codes, messages, precedence; in process, but for weight."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_picture import FAST

from sfumato import picture
from sfumato.__main__ import main
from sfumato.runs import listing


def test_paint_prints_the_run_alone_on_stdout(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "photo.png", *FAST]) == 0
    out, err = capsys.readouterr()
    (run,) = listing("runs")
    assert out == f"{run.folder}\n"
    assert "PSNR" in err and "time " in err
    assert not set("\r\b\x1b") & set(out + err)


@pytest.mark.parametrize("task", ["picture", "digits"])
def test_the_command_named_next_can_be_pasted(
    folder: Path, capsys: pytest.CaptureFixture[str], task: str
) -> None:
    verb = {"picture": ["paint", "photo.png"], "digits": ["digits", "--data", "digits8x8"]}[task]
    assert main([*verb, *FAST]) == 0
    _, _, following = capsys.readouterr().err.partition("next ")
    lines = [line.split() for line in following.splitlines() if "sfumato" in line]
    assert len(lines) == 2
    for line in lines:
        assert main(line[line.index("sfumato") + 1 :]) == 0, line


def test_options_in_any_order_make_the_same_recipe(folder: Path) -> None:
    assert main(["paint", *FAST, "--seed", "3", "photo.png"]) == 0
    assert main(["paint", "--seed", "3", "photo.png", *FAST]) == 0
    a, b = listing("runs")
    assert a.recipe == b.recipe and a.recipe.seed == 3


def test_json_lines_tell_the_whole_story(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "photo.png", *FAST, "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {e["v"] for e in events} == {1}
    kinds = [e["event"] for e in events]
    assert kinds[0] == "start" and kinds[-1] == "done" and "frame" in kinds
    done = events[-1]
    assert done["step"] == done["total_steps"] == 8
    assert done["scores"]["psnr"] > 0
    assert set(done["seconds"]) == {"wall", "training", "watching", "finishing"}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["paint", "photo.pgn"], 2, ["'photo.pgn' not found", "did you mean 'photo.png'?"]),
        (
            ["paint", "photo.png", "--activation", "sin"],
            2,
            ["activation='sin' is unknown", "did you mean 'sine'?"],
        ),
        (["paint", "photo.png", "--activation", "sine:omga=3"], 2, ["did you mean 'omega'?"]),
        (["paint", "photo.png", "--net", "4y300"], 2, ["'4y300' is no layer", "hint: 4x300"]),
        (["paint", "photo.png", "--epoch", "3"], 2, ["--epoch", "--epochs"]),
        (["paint", "photo.png", "--epochs", "-1"], 2, ["epochs"]),
        (["paint", "photo.png", "--epochs", "nan"], 2, ["epochs"]),
        (["paint", "photo.png", "--recipe", "clasic"], 2, ["did you mean 'classic'?"]),
        (["paint", "photo.png", "--set", "bach=3"], 2, ["'bach' is unknown", "did you mean 'batch'?"]),
        (["paint", "photo.png", "--set", "clip"], 2, ["expected field=value"]),
        (["paint", "photo.png", "--engine", "tpu"], 3, ["engine 'tpu' is unknown"]),
        (["paint", "photo.png", "--until", "loss=3"], 2, ["until='loss=3'"]),
        (["paint", "photo.png", "--held-out", "1.5"], 2, ["share=1.5"]),
        (["paint", "photo.png", "--frames", "often"], 2, ["frames='often'"]),
        (["paint", "https://example.org/a.png"], 2, ["https://example.org/a.png"]),
        (["paint", "."], 2, ["folder"]),
        (["resume", "nothing"], 1, ["'nothing' not found", "hint: sfumato runs"]),
        (["atlas", "nothing"], 1, ["'nothing' not found"]),
        (["export", "nothing", "a.png"], 1, ["'nothing' not found"]),
        (["nonsense"], 2, ["nonsense"]),
    ],
)
def test_wrong_input_ends_in_a_few_clear_lines(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: list[str]
) -> None:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ") and len(err.splitlines()) <= 3, err
    for word in words:
        assert word in err
    assert not Path("runs").exists()


def test_dry_run_trains_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "photo.png", "--dry-run", "--net", "2x5", "--epochs", "3", "--batch", "50"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["parameters"] == 2 * 5 + 5 + 5 * 5 + 5 + 5 * 3 + 3
    assert plan["samples"] == 117 and plan["steps"] == 9
    assert not Path("runs").exists()


def test_runs_lists_shows_compares_and_deletes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "no runs under runs/" in err
    for rate in ("0.01", "0.02"):
        assert main(["paint", "photo.png", *FAST, "--rate", rate, "--quiet"]) == 0
    a, b = listing("runs")
    capsys.readouterr()
    assert main(["runs"]) == 0
    assert a.name in (listed := capsys.readouterr().out) and b.name in listed and "done" in listed
    assert main(["runs", a.name]) == 0
    assert "parameters" in capsys.readouterr().out
    assert main(["runs", a.name, b.name]) == 0
    assert "rate" in (table := capsys.readouterr().out) and "0.01" in table and "0.02" in table
    assert main(["runs", a.name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"][0]["state"] == "done"
    assert main(["runs", a.name, "--rm"]) == 0
    assert [run.folder for run in listing("runs")] == [b.folder]


def test_a_missed_target_is_exit_code_4(folder: Path) -> None:
    assert main(["paint", "photo.png", *FAST, "--quiet", "--until", "psnr=80"]) == 4
    assert main(["paint", "photo.png", *FAST, "--quiet", "--until", "psnr=1"]) == 0


def test_an_unwritable_folder_is_said_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("in the way")
    assert main(["paint", "photo.png", *FAST, "--out", "file/runs"]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_light_commands_import_neither_torch_nor_numpy(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from sfumato.__main__ import main\n"
        "for argv in (['--help'], ['--version'], ['paint', '--help'], ['runs']):\n"
        "    assert main(argv) == 0, argv\n"
        "heavy = {'torch', 'numpy', 'av', 'PIL'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "paint" in done.stdout


def test_atlas_draws_sheets_neurons_plots_and_what_is_left_without_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["paint", "photo.png", *FAST[2:], "--net", "6,5", "--quiet"]) == 0
    capsys.readouterr()
    options = [
        "--neurons",
        "2:0-2",
        "--plots",
        "regions,spectrum,ranks",
        "--without",
        "2:1",
        "--sort",
        "importance",
    ]
    assert main(["atlas", "last", *options]) == 0
    written = {Path(line).name for line in capsys.readouterr().out.splitlines()}
    assert {"layer-1.png", "layer-2.png", "neurons.csv", "neuron-2.png", "without.png"} <= written
    assert {"regions.png", "region-counts.png", "spectrum.png", "ranks.png", "gradient-ranks.png"} <= written
    (run,) = listing("runs")
    without = picture.load(run.folder / "atlas" / "without.png")
    whole = picture.load(run.folder / "painting.png")
    assert without.values.shape == whole.values.shape and not np.array_equal(without.values, whole.values)
    for wrong in (
        ["--neurons", "3:0"],
        ["--without", "2:9"],
        ["--plots", "magic"],
        ["--sort", "name"],
        ["--layer", "7"],
    ):
        assert main(["atlas", "last", *wrong]) == 2, wrong
        assert capsys.readouterr().err.startswith("error: ")


def test_the_built_in_picture_is_downscaled_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "--max-pixels", "2000", *FAST]) == 0
    (run,) = listing("runs")
    shown = picture.load(run.folder / "target.png")
    assert (shown.width, shown.height) == (37, 53)
    assert main(["paint", "--max-pixels", "0", *FAST]) == 2
    assert "max_pixels=0" in capsys.readouterr().err
