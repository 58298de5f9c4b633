"""Runs from strangers: whatever a run directory holds, nothing outside it is read, written, deleted or waited for.

Every name of the layout is replaced in turn by a link, a pipe, a socket or a folder, and every verb is tried.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sfumato import experiment, picture
from sfumato.__main__ import main
from sfumato.errors import RunError, SfumatoError
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs import overview, remove
from sfumato.runs.watch import Watch

SMALL = Recipe(net=(5, 4), batch=32, epochs=2.0, engine="eager", threads=1)
QUIET = Watch(frames="3", keep="2", film="none")

FILES = ("recipe.json", "origin.json", "metrics.jsonl", "checkpoint.safetensors", "target.png", "target.npy")
DERIVED = ("painting.png", "film.gif", "report.html", "lock", "atlas/neurons.csv", "atlas/layer-1.png")
NUMBERED = ("frames/000000.jpg", "weights/000000.safetensors")
ROOMS = ("frames", "weights", "atlas", "atlas/layer-1")

SECRET = b"the user's own; no run may read, change or delete it"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, of a picture of 13x9."""
    path = tmp_path_factory.mktemp("pictures") / "photo.png"
    picture.save(picture.from_array(np.random.default_rng(0).random((9, 13, 3), np.float32)), path)
    return experiment.perform(SMALL, str(path), out=tmp_path_factory.mktemp("runs"), watch=QUIET).folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A copy of it, as if it came by post."""
    return Path(shutil.copytree(made, tmp_path / "runs" / "a-run"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the user's, which each test finds as it was."""
    folder = tmp_path / "outside"
    (folder / "layer-1").mkdir(parents=True)
    for name in ("secret", "000000.jpg", "000999.jpg", "000999.safetensors", "neurons.csv", "layer-1.png"):
        (folder / name).write_bytes(SECRET)
    return folder


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every name below a folder, with the bytes of its files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def verbs(folder: Path, elsewhere: Path) -> dict[str, Callable[[], object]]:
    """Everything that reads or writes a run."""
    return {
        "listing": lambda: overview(folder.parent),
        "resume": lambda: experiment.resume(Run(folder), epochs=3),
        "fork": lambda: experiment.fork(Run(folder), 3, {"rate": 0.001}, out=elsewhere / "forks"),
        "atlas": lambda: main(["atlas", str(folder), "--neurons", "1:0", "--size", "8x8"]),
        "plots": lambda: main(["atlas", str(folder), "--without", "1:0", "--size", "8x8"]),
        "painting": lambda: main(["export", str(folder), str(elsewhere / "a.png"), "--size", "8x8"]),
        "film": lambda: main(["export", str(folder), str(elsewhere / "a.gif")]),
        "net": lambda: main(["export", str(folder), str(elsewhere / "a.safetensors")]),
        "report": lambda: main(["export", str(folder), str(elsewhere / "a.html")]),
        "own report": lambda: Run(folder).report(),
        "details": lambda: main(["runs", str(folder)]),
        "rm": lambda: remove(folder),
    }


VERBS = tuple(verbs(Path(), Path()))


def tried(folder: Path, elsewhere: Path, verb: str) -> bool:
    """Whether a verb did something; a refusal has one to three lines."""
    try:
        return verbs(folder, elsewhere)[verb]() not in (1, 2, 3)
    except SfumatoError as error:
        assert 1 <= len(str(error).splitlines()) <= 3, str(error)
        return False


def put(path: Path, kind: str, outside: Path) -> None:
    """Replace what stands at `path`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    if kind == "link to a file":
        path.symlink_to(outside / "secret")
    elif kind == "link to a folder":
        path.symlink_to(outside)
    elif kind == "link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "link to nothing":
        path.symlink_to(outside / "new")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        home = Path.cwd()
        os.chdir(path.parent)  # names of sockets are short
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path.name)
        finally:
            os.chdir(home)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"")


def test_every_verb_works_on_a_sound_run(run: Path, tmp_path: Path) -> None:
    assert [verb for verb in VERBS if not tried(run, tmp_path, verb)] == []


@pytest.mark.parametrize("name", (*FILES, *DERIVED, *NUMBERED, *ROOMS))
@pytest.mark.parametrize("kind", ["link to a file", "link to a folder", "pipe"])
def test_no_planted_entry_leads_a_verb_out_of_the_run(
    run: Path, outside: Path, tmp_path: Path, kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(outside)
    elsewhere = tmp_path / "mine"
    elsewhere.mkdir()
    put(run / name, kind, outside)
    for verb in VERBS:
        tried(run, elsewhere, verb)
        assert snapshot(outside) == before, (kind, name, verb)
        for path in elsewhere.rglob("*"):
            assert not path.is_file() or SECRET not in path.read_bytes(), (kind, name, verb)
        said = capsys.readouterr()
        assert SECRET.decode() not in said.out + said.err
    assert not run.exists()


@pytest.mark.parametrize("name", (*FILES[:4], *NUMBERED))
@pytest.mark.parametrize("kind", ["link to a file", "pipe", "folder", "link to a device"])
def test_a_part_that_is_no_plain_file_makes_a_run_damaged_and_says_why(
    run: Path, outside: Path, kind: str, name: str
) -> None:
    put(run / name, kind, outside)
    (entry,) = overview(run.parent)
    assert entry.state == "damaged"
    assert Path(name).name in entry.why and len(entry.why.splitlines()) == 1


@pytest.mark.parametrize("name", ("atlas", "painting.png", "frames", "weights", "metrics.jsonl", "film.gif"))
def test_a_run_that_could_not_be_written_to_its_end_is_refused_before_it_trains(
    run: Path, outside: Path, name: str
) -> None:
    put(run / name, "link to nothing", outside)
    checkpoint = (run / "checkpoint.safetensors").read_bytes()
    with pytest.raises(RunError, match="is a link, not a"):
        experiment.resume(Run(run), epochs=3)
    assert (run / "checkpoint.safetensors").read_bytes() == checkpoint


@pytest.mark.parametrize("task", ["picture", "digits"])
def test_a_path_in_origin_is_never_followed(run: Path, photo: Path, tmp_path: Path, task: str) -> None:
    origin = json.loads((run / "origin.json").read_text())
    for source in (str(photo), "../photo.png", "photo.png"):
        (run / "target.png").unlink(missing_ok=True)
        (run / "origin.json").write_text(json.dumps(origin | {"source": source, "files": {}}))
        (run / "recipe.json").write_text(SMALL.replace(task=task).to_json())
        with pytest.raises(RunError):
            _ = Run(run).source
        assert main(["resume", str(run), "--epochs", "3", "--quiet"]) == 1
        Run(run).report(tmp_path / "report.html")


def test_files_with_a_second_name_elsewhere_keep_what_they_say_there(run: Path, outside: Path) -> None:
    for name in (
        "metrics.jsonl",
        "recipe.json",
        "origin.json",
        "painting.png",
        "checkpoint.safetensors",
        "lock",
    ):
        (run / name).touch()
        os.link(run / name, outside / f"second-{name}")
    before = snapshot(outside)
    experiment.resume(Run(run), epochs=3)
    assert snapshot(outside) == before


def test_control_characters_reach_no_terminal_and_no_pipe(
    run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    evil = "\x1b[31mred\x07\u202e\x9b\r\nnext"
    origin = json.loads((run / "origin.json").read_text())
    facts = dict.fromkeys(("source", "engine", "processor", "started", "python"), evil)
    (run / "origin.json").write_text(json.dumps(origin | facts))
    recipe = json.loads((run / "recipe.json").read_text())
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    (run / "metrics.jsonl").write_text(json.dumps(line | {evil: 1.5}) + "\n")
    home = run.with_name("b\x1b[2J\u202e")
    run.rename(home)
    other = Path(shutil.copytree(home, home.with_name("c\x9b")))
    for field in ("activation", "optimizer", "held_out", "init"):
        (other / "recipe.json").write_text(json.dumps(recipe | {field: evil}))
        calls = [["runs"], ["runs", "--json"], ["runs", str(home)], ["runs", str(home), str(other)]]
        calls += [
            ["resume", str(other)],
            ["atlas", str(other)],
            ["export", str(other), str(tmp_path / "a.png")],
        ]
        calls += [["export", str(home), str(tmp_path / "b.png")], ["resume", str(home), "--epochs", "3"]]
        for arguments in calls:
            main([*arguments, "--out", str(home.parent)])
            said = capsys.readouterr()
            for text in (said.out, said.err):
                assert not [c for c in text if c in "\x1b\x07\x9b\u202e\r"], arguments
