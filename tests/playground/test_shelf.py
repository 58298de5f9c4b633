"""What the server can hand out: by keys that it has made itself, and nothing by a path."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import sfumato
from sfumato.errors import PictureError, RunError
from sfumato.playground.shelf import Shelf, Shelved, picture_of, safe_name
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory

RECIPE = Recipe(net=(4,), batch=64, steps=2, engine="eager", threads=1)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    made = Shelf(str(tmp_path / "runs"))
    yield made
    made.close()


def run(photo: Path, out: Path) -> sfumato.Run:
    return sfumato.perform(
        RECIPE, str(photo), out=out, watch=sfumato.Watch("2", "2", film="none"), progress=False
    )


def uploaded(shelf: Shelf, content: bytes) -> Shelved:
    key, path = shelf.store(content)
    one = Shelved(key, "a picture", str(path), "a-picture", b"png", 3, 2)
    shelf.shelve(one)
    return one


def test_an_upload_is_found_by_its_key_and_named_after_its_bytes(shelf: Shelf) -> None:
    one = uploaded(shelf, b"some bytes")
    assert shelf.picture(one.key) == one
    assert (
        Path(str(one.source)).read_bytes() == b"some bytes" and Path(str(one.source)).parent == shelf.folder
    )
    assert uploaded(shelf, b"some bytes").key == one.key and uploaded(shelf, b"others").key != one.key


@pytest.mark.parametrize("key", ["upload:0", "../../etc/passwd", "", "run:nothing"])
def test_what_is_not_on_the_shelf_is_not_known(shelf: Shelf, key: str) -> None:
    with pytest.raises(PictureError, match="is not known here any more\nhint: choose or upload"):
        shelf.picture(key)


def test_the_oldest_uploads_make_room_and_samples_stay(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sfumato.playground.shelf.MOST_UPLOADS", 3)
    shelf.shelve(Shelved("sample:disc", "Disc", None, "disc", b"", 1, 1))
    made = [uploaded(shelf, bytes([k])) for k in range(5)]
    assert list(shelf.pictures) == ["sample:disc", *(one.key for one in made[2:])]
    assert [Path(str(one.source)).exists() for one in made] == [False, False, True, True, True]
    uploaded(shelf, bytes([2]))  # brought again, it is the newest
    uploaded(shelf, bytes([9]))
    assert made[2].key in shelf.pictures and made[3].key not in shelf.pictures


def test_uploads_end_with_the_server(shelf: Shelf) -> None:
    one = uploaded(shelf, b"bytes")
    shelf.close()
    assert not shelf.folder.exists() and not Path(str(one.source)).exists()


def test_a_run_learns_the_picture_on_the_shelf_or_its_own_copy(
    shelf: Shelf, photo: Path, tmp_path: Path
) -> None:
    """Never a file that its origin.json names: the run may be a stranger's."""
    learner = run(photo, tmp_path / "runs")
    key = shelf.learned(learner)
    assert learner.origin["source"] == str(photo) and photo.is_file()
    assert key == f"run:{learner.name}" and shelf.picture(key).source == str(learner.folder / "target.png")
    with Image.open(learner.folder / "target.png") as image:
        assert (shelf.picture(key).width, shelf.picture(key).height) == image.size
    assert shelf.picture(key).preview == (learner.folder / "target.png").read_bytes()
    shelf.shelve(Shelved("upload:abc", "mine", learner.origin["source"], "mine", b"", 1, 1))
    assert shelf.learned(learner) == "upload:abc"


@pytest.mark.parametrize("name", ["target.png", "frames/000002.jpg"])
@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("link", "is a link"),
        ("pipe", "is a pipe"),
        ("text", "is no picture"),
        ("torn", "is no picture"),
        ("vast", "too many for a page"),
    ],
)
def test_what_is_no_picture_of_the_run_is_not_handed_out(
    photo: Path, tmp_path: Path, name: str, kind: str, says: str
) -> None:
    learner = run(photo, tmp_path / "runs")
    path = learner.folder / name
    content = path.read_bytes()
    assert picture_of(learner, name)[0] == content
    path.unlink()
    if kind == "link":
        path.symlink_to(photo)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "vast":
        head = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 10_000, 8, 2, 0, 0, 0)
        start = b"\x89PNG\r\n\x1a\n\0\0\0\r" + head + struct.pack(">I", zlib.crc32(head))
        path.write_bytes(start + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    else:
        path.write_bytes(b"<svg onload=x>" if kind == "text" else content[:10])
    with pytest.raises(RunError, match=says):
        picture_of(learner, name)


def test_damaged_runs_are_told_with_why_and_nameless_ones_have_no_key(
    shelf: Shelf, photo: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    sound = run(photo, out)
    shutil.copytree(sound.folder, out / "damaged")
    (out / "damaged" / "recipe.json").write_text("{")
    shutil.copytree(sound.folder, out / os.fsdecode(b"x\xff"))
    assert set(shelf.runs(fresh=True)) == {sound.name}
    told = dict(shelf.damaged())
    assert "is not JSON" in told["damaged"] and told["x?"] == "the name of its folder is no text: rename it"


def test_a_run_of_the_built_in_picture_learns_that_even_before_it_is_on_the_shelf(
    shelf: Shelf, photo: Path, tmp_path: Path
) -> None:
    learner = run(photo, tmp_path / "runs")
    origin = learner.folder / "origin.json"
    origin.write_text(json.dumps(json.loads(origin.read_text()) | {"source": None}))
    assert shelf.learned(RunDirectory(learner.folder)) == "mona-lisa"
    assert not [key for key in shelf.pictures if key.startswith("run:")]


def test_a_run_without_its_copy_says_so(shelf: Shelf, photo: Path, tmp_path: Path) -> None:
    learner = run(photo, tmp_path / "runs")
    (learner.folder / "target.png").unlink()
    with pytest.raises(RunError, match=r"holds no target\.png"):
        shelf.learned(learner)


def test_runs_are_those_of_the_folder_and_the_one_that_was_asked_for(photo: Path, tmp_path: Path) -> None:
    elsewhere = run(photo, tmp_path / "elsewhere")
    first = run(photo, tmp_path / "runs")
    shelf = Shelf(str(tmp_path / "runs"), extra=RunDirectory(elsewhere.folder))
    assert set(shelf.runs()) == {first.name, elsewhere.name}
    second = run(photo, tmp_path / "runs")
    assert shelf.run(second.name).folder == second.folder, "a new one is found at once when it is asked for"
    with pytest.raises(RunError, match="not known here"):
        shelf.run("../elsewhere/" + elsewhere.name)
    shelf.close()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("holiday.jpg", "holiday"),
        ("C:\\pictures\\a b.png", "a-b"),
        ("../../x", "x"),
        ("...", "picture"),
        ("", "picture"),
        ("é" * 99 + ".png", "é" * 40),
    ],
)
def test_names_are_safe_for_a_folder(text: str, safe: str) -> None:
    assert safe_name(text) == safe


def test_an_upload_that_the_disk_refuses_says_so(shelf: Shelf) -> None:
    shelf.close()
    with pytest.raises(RunError, match="cannot write"):
        shelf.store(b"some bytes")
