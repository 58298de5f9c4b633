"""Files are whole or not there, only what belongs is followed, and what the dead have left is swept."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from sfumato import files
from sfumato.errors import RunError


def refuse(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_a_file_is_replaced_in_one_step_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with files.replacing(path) as passing:
        passing.write_text("new")
        assert path.read_text() == "old" and files.PART.fullmatch(passing.name)
    assert path.read_text() == "new"
    files.save_text(path, "newer")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "newer"


@pytest.mark.parametrize("way", ["replacing", "save_bytes"])
@pytest.mark.parametrize("number", sorted(files.HINTS))
def test_every_refusal_of_the_disk_is_one_clear_error_and_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, number: int
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def refused(self: Path, target: object) -> Path:
        raise refuse(number)

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(RunError, match=r"a\.txt") as error:
        if way == "save_bytes":
            files.save_bytes(path, b"new")
        else:
            with files.replacing(path) as passing:
                passing.write_text("new")
    assert files.HINTS[number] in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "old"


def test_an_error_of_the_callers_own_passes_through_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), files.replacing(tmp_path / "a.txt"):
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_a_line_is_added_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lines"
    files.append(path, "one\n")
    files.append(path, "two\n")
    real = os.write

    def full(descriptor: int, content: bytes) -> int:
        real(descriptor, bytes(content)[:2])
        raise refuse(errno.ENOSPC)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(RunError, match="free some space"):
        files.append(path, "three\n")
    assert path.read_text() == "one\ntwo\n"


def test_a_file_with_a_second_name_elsewhere_takes_no_line(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("one\n")
    (tmp_path / "here").hardlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="second name"):
        files.append(tmp_path / "here", "two\n")
    assert (tmp_path / "elsewhere").read_text() == "one\n"


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system may take fewer bytes than it was given."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: real(descriptor, bytes(content)[:3]))
    files.save_bytes(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_what_belongs_is_a_plain_file_in_plain_folders(tmp_path: Path) -> None:
    folder, outside = tmp_path / "run", tmp_path / "outside"
    (folder / "frames").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("x")
    (folder / "link").symlink_to(outside / "secret")
    (folder / "away").symlink_to(outside)
    os.mkfifo(folder / "pipe")
    assert files.own(folder, "new.json") == folder / "new.json"
    assert files.own(folder, "frames/1.jpg") == folder / "frames/1.jpg"
    assert files.own(folder, "frames", room=True) == folder / "frames"
    for name, said in [
        ("link", "a link"),
        ("away/secret", "a link"),
        ("pipe", "a pipe"),
        ("frames", "a folder"),
    ]:
        with pytest.raises(RunError, match=said):
            files.own(folder, name)
    with pytest.raises(RunError, match="a link"):
        files.own(folder, "away", room=True)


def test_reading_ends_at_the_largest_size_and_waits_for_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert files.read(tmp_path, "a", 5) == b"12345"
    with pytest.raises(RunError, match="more than 4"):
        files.read(tmp_path, "a", 4)
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path, "b", 4)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(RunError, match="a pipe"):
        files.read(tmp_path, "pipe", 4)


def test_only_what_dead_writers_left_is_swept(tmp_path: Path) -> None:
    left, folder = tmp_path / ".a.png.0123456789ab.part", tmp_path / ".run.0123456789ab.part"
    left.touch()
    folder.mkdir()
    (folder / "x").touch()
    others = [tmp_path / name for name in ("a.part", ".a.part", ".hidden", "a.png", ".a.0123.part")]
    for path in others:
        path.touch()
    files.sweep(tmp_path, older=60)
    assert left.exists() and folder.exists()
    old = time.time() - 120
    os.utime(left, (old, old))
    files.sweep(tmp_path, older=60)
    assert not left.exists() and folder.exists()
    files.sweep(tmp_path)
    assert not folder.exists() and all(path.exists() for path in others)


def test_what_was_written_without_waiting_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    paths = [tmp_path / f"{i}.jpg" for i in range(20)]
    for path in paths:
        files.save_bytes(path, b"x", wait=False)
    monkeypatch.setattr(files, "sync", lambda path: synced.append(path.name))
    files.settle(paths)
    assert sorted(synced) == sorted([*(p.name for p in paths), tmp_path.name])
