"""Runs that may only be looked at: of another user, on a share, on a disk that is mounted so."""

from __future__ import annotations

import ctypes
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_picture import FAST

from sfumato.__main__ import main
from sfumato.runs import index, overview


def as_others(work: Callable[[], None]) -> None:
    """Do `work` in a child that obeys the rights of files, which root does not by itself; fail if it does."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:  # Linux: no capability is left to pass over rights
                header = (ctypes.c_uint32 * 2)(0x20080522, 0)
                assert ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)()) == 0
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture
def closed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of four runs and a cache that may not be written."""
    monkeypatch.setattr(index, "WORTH", 3)
    for seed in range(4):
        assert main(["paint", "photo.png", *FAST, "--quiet", "--seed", str(seed), "--out", "closed"]) == 0
    overview("closed")
    paths = [folder / "closed", *(folder / "closed").rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder / "closed"
    for path in paths:
        path.chmod(0o755)


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_cache_of_a_folder_that_may_not_be_written_is_used(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_read", lambda run: pytest.fail(f"{run} was read again"))
    as_others(lambda: pytest.fail("lost") if len(overview(closed)) != 4 else None)


def test_what_only_looks_works_and_the_rest_is_refused_in_two_lines(
    closed: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before, run = content(closed), str(overview(closed)[0].folder)
    looks = [
        ["runs", "--out", str(closed)],
        ["runs", run, "--json"],
        ["runs", run, run, "--report", "both.html"],
        ["runs", "--out", str(closed), "--to", "runs.csv"],
        *(["export", run, name] for name in ("a.png", "a.gif", "a.html", "a.safetensors", "sheet.png")),
        ["resume", run, "--fork", "1", "--quiet"],
    ]
    changes = [
        ["resume", run],
        ["resume", run, "--epochs", "4"],
        ["atlas", run],
        ["runs", run, "--rm"],
        ["paint", "photo.png", *FAST, "--quiet", "--out", str(closed)],
        ["paint", "photo.png", *FAST, "--quiet", "--out", str(closed / "new")],
    ]

    def work() -> None:
        for words in looks:
            assert main(words) == 0, words
        for words in changes:
            print("REFUSED", *words, file=sys.stderr, flush=True)
            assert main(words) == 1, words

    as_others(work)
    refused = capfd.readouterr().err.split("REFUSED")[1:]
    for text in refused:
        lines = text.splitlines()[1:]
        assert lines[0].startswith("error: cannot write ") and "Permission denied" in lines[0], text
        assert lines[1].startswith("  hint: it may not be written") and len(lines) == 2, text
    assert len(refused) == len(changes) and content(closed) == before
    assert len(overview("runs")) == 1, "the fork stands elsewhere"
