"""The lock, the names and the way in and out of a run directory."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sfumato.errors import RunError
from sfumato.recipe import Recipe
from sfumato.run import Run
from sfumato.runs import listing, lock, overview, remove
from sfumato.runs.lock import holding, is_held

SMALL = Recipe(net=(5,))


def made(parent: Path, name: str = "photo") -> Run:
    with Run.create(parent, SMALL, name, {"inputs": 2, "outputs": 3}) as run:
        return run


def test_a_thousand_runs_of_one_minute_have_a_thousand_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import secrets

    original = secrets.token_hex
    tokens = iter(f"{number // 3:06x}" for number in range(60))  # each comes three times
    monkeypatch.setattr(secrets, "token_hex", lambda n: next(tokens) if n == 3 else original(n))
    assert len({made(tmp_path).folder for _ in range(20)}) == 20 == len(listing(tmp_path))


def test_looking_refuses_nobody(tmp_path: Path) -> None:
    run = made(tmp_path)
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            is_held(run.folder)

    watchers = [threading.Thread(target=look) for _ in range(3)]
    for watcher in watchers:
        watcher.start()
    try:
        for _ in range(300):
            with run.lock():
                pass
    finally:
        stop.set()
        for watcher in watchers:
            watcher.join()


def test_looking_takes_no_exclusive_lock_and_changes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = made(tmp_path)
    kinds: list[int] = []
    original = fcntl.flock
    monkeypatch.setattr(
        fcntl, "flock", lambda descriptor, kind: (kinds.append(kind), original(descriptor, kind))[1]
    )
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    assert overview(tmp_path)[0].state == "interrupted" == run.state
    assert kinds and not any(kind & fcntl.LOCK_EX for kind in kinds)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_a_lock_ends_with_its_process_and_not_with_a_child(tmp_path: Path) -> None:
    run = made(tmp_path)
    code = (
        "import os, sys, time\n"
        "from sfumato.runs.lock import holding\n"
        "from pathlib import Path\n"
        "with holding(Path(sys.argv[1])):\n"
        "    if os.fork() == 0:\n"
        "        print('child', flush=True)\n"  # it runs, and so has dropped its copy of the lock
        "        time.sleep(60)\n"
        "    sys.stdin.readline()\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()\n"
        "    os._exit(9)\n"
    )
    command = [sys.executable, "-c", code, str(run.folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as held:
        assert held.stdout is not None and held.stdin is not None
        assert held.stdout.readline() == b"child\n"
        held.stdin.write(b"go on\n")
        held.stdin.flush()
        assert held.stdout.readline() == b"held\n"
        assert is_held(run.folder) and run.state == "running"
        held.stdin.close()
        held.wait()
        try:
            assert not is_held(run.folder)
            with run.lock():
                pass
        finally:
            os.killpg(held.pid, 9)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_of_the_file_system_a_record_of_the_process_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(descriptor: int, kind: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(lock, "PATIENCE", 0.0)
    run = made(tmp_path)
    assert run.state == "interrupted"
    with run.lock():
        assert run.state == "running"
        with pytest.raises(RunError, match="in use by another process"), holding(run.folder):
            pass
    assert run.state == "interrupted"
    for holder, held in ((1, True), (1 << 22, False), (-1, False), ("x", False)):
        record = {"host": os.uname().nodename, "process": holder}
        (run.folder / "lock").write_text(json.dumps(record))
        assert is_held(run.folder) is held
    (run.folder / "lock").write_text(json.dumps({"host": "elsewhere", "process": 1}))
    with run.lock():
        pass
    remove(run.folder)
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_held_is_not_removed(tmp_path: Path) -> None:
    run = made(tmp_path)
    with run.lock(), pytest.raises(RunError, match="in use"):
        remove(run.folder)
    assert run.state == "interrupted"
    remove(run.folder)
    with pytest.raises(RunError, match="is gone"), run.lock():
        pass


def test_what_the_dead_left_is_swept_and_what_the_living_make_is_not(tmp_path: Path) -> None:
    dead = tmp_path / ".a_run.0123456789ab.part"
    (dead / "frames").mkdir(parents=True)
    (dead / "lock").touch()
    empty = tmp_path / ".b_run.0123456789ab.part"
    empty.mkdir()
    mine = tmp_path / ".my own.part"
    mine.mkdir()
    living = tmp_path / ".c_run.0123456789ab.part"
    living.mkdir()
    with holding(living):
        run = made(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([living.name, mine.name, run.name])
    for name in ("", "frames", "weights"):
        (run.folder / name / ".x.json.0123456789ab.part").touch()
    (run.folder / ".plates-01234567.part").mkdir()
    (run.folder / "atlas").mkdir()
    (run.folder / "atlas" / ".new.csv.0123456789ab.part").touch()  # somebody may be looking just now
    os.utime(run.folder / "atlas" / ".new.csv.0123456789ab.part")
    (run.folder / "atlas" / ".old.csv.0123456789ab.part").touch()
    os.utime(run.folder / "atlas" / ".old.csv.0123456789ab.part", (1e9, 1e9))
    with run.lock():
        left = [path.relative_to(run.folder).as_posix() for path in run.folder.rglob(".*")]
    assert left == ["atlas/.new.csv.0123456789ab.part"]


@pytest.mark.parametrize(
    "look",
    [
        lambda parent: [run.state for run in listing(parent)],
        lambda parent: [e.state for e in overview(parent)],
    ],
)
def test_a_listing_beside_runs_that_come_and_go(tmp_path: Path, look: Callable[[Path], list[str]]) -> None:
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            remove(made(tmp_path).folder)

    worker = threading.Thread(target=come_and_go)
    worker.start()
    try:
        for _ in range(100):
            assert set(look(tmp_path)) <= {"interrupted", "running", "damaged"}
    finally:
        stop.set()
        worker.join()
