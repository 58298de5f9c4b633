"""A run, a resume or a fork, with something done to its n-th file call: killed before it, or refused by the disk.

    python tests/runs/calls.py FOLDER perform|resume|fork kill ENOSPC EIO EROFS [--turns]

A process of its own, warmed once, that forks a child for each call: importing torch takes longer than all of them.
Every call that opens for writing, writes, truncates, syncs, makes, renames or deletes a file below FOLDER counts.
For each number and each fault the child does it; then a second child, undisturbed, does what a person would do next
(start again, or resume), and what stands there is compared with a run that nothing disturbed. Findings go to
stdout as JSON Lines; none is what a test wants.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from sfumato import experiment, picture
from sfumato.errors import SfumatoError
from sfumato.recipe import Recipe
from sfumato.runs import RunDirectory, overview
from sfumato.runs.watch import Watch

RECIPE = Recipe(net=(5,), batch=32, epochs=2.0, engine="eager", threads=1, rate=0.01)
WATCH = Watch(frames="0,3,8", keep="2", film="gif", checkpoint=0.0)
STEP = 3

KILLED = 77
"""How a child ends that is killed: at once, nothing flushed, nothing cleaned up, as by SIGKILL."""

AUDITED = ("os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.link", "os.symlink")
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

Act = Callable[[str], None]


def counted(root: str, act: Act) -> None:
    """From now on, call `act` with a name before each file call below `root`; in this process for good."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & WRITES) if isinstance(flags, int) else False
            writes = writes or (isinstance(mode, str) and any(c in mode for c in "wax+"))
            if writes and isinstance(path, (str, bytes)) and os.fsdecode(path).startswith(root):
                act(f"open {Path(os.fsdecode(path)).name}")
        elif event in AUDITED and any(str(a).startswith(root) for a in arguments):
            act(f"{event} {Path(str(arguments[0])).name}")

    sys.addaudithook(hook)
    for name in ("write", "fsync"):
        original = getattr(os, name)

        def call(descriptor: int, *more: Any, name: str = name, original: Any = original) -> Any:
            if os.path.realpath(f"/proc/self/fd/{descriptor}").startswith(root):
                act(name)
                if name == "fsync":  # a killed process is no power cut: the kernel keeps what it was given
                    return None
            return original(descriptor, *more)

        setattr(os, name, call)


def child(work: Callable[[], None]) -> tuple[int, str]:
    """Do something in a forked child: how it ended, and what it said."""
    into, out = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(into)
        code, said = 0, ""
        try:
            work()
        except SfumatoError as error:
            code, said = error.exit_code, str(error)
        except BaseException:
            code, said = 99, traceback.format_exc()
        os.write(out, said.encode())
        os._exit(code)
    os.close(out)
    with os.fdopen(into, "rb") as pipe:
        said = pipe.read().decode()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said


def perform(out: Path, photo: Path) -> None:
    """Start a run."""
    experiment.perform(RECIPE, str(photo), out=out / "runs", watch=WATCH)


def resume(out: Path, photo: Path) -> None:
    """Go on with the one run there is, to more epochs."""
    (entry,) = overview(out / "runs")
    experiment.resume(RunDirectory(entry.folder), epochs=3.0)


def fork(out: Path, photo: Path) -> None:
    """Leave the one run there is."""
    (entry,) = overview(out / "runs")
    experiment.fork(RunDirectory(entry.folder), STEP, {"rate": 0.002}, out=out / "forks")


VERBS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "perform": (perform, "runs"),
    "resume": (resume, "runs"),
    "fork": (fork, "forks"),
}


def content(folder: Path) -> dict[str, Any]:
    """What a run leaves that has to be equal: bits, frames, lines without their times, and every name."""
    run = RunDirectory(folder)
    weights, state, facts = run.checkpoint()
    lines = [
        {k: v for k, v in line.items() if k not in ("seconds", "watching_seconds", "cores")}
        for line in run.history
    ]
    kept = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        if path.suffix in (".jpg", ".gif", ".png")
        else b""
        for path in sorted(folder.rglob("*"))
    }
    return {
        "names": list(kept),
        "pictures": kept,
        "bits": {n: t.numpy().tobytes() for n, t in (weights | state).items()},
        "kept": {
            s: {n: p.detach().numpy().tobytes() for n, p in run.net(s).named_parameters()}
            for s in run.steps()
        },
        "lines": lines,
        "step": facts["step"],
    }


def compared(found: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    return [part for part in wanted if found[part] != wanted[part]]


def main(root: Path, verb: str, faults: list[str], *, turns: bool) -> None:
    """See the module. turns: one fault a call, the next call the next one; else all faults at every call."""
    torch.set_num_threads(1)
    photo = root / "photo.png"
    picture.save(picture.from_array(np.random.default_rng(0).random((9, 13, 3), np.float32)), photo)
    work, place = VERBS[verb]
    before, whole, warm = root / "before", root / "whole", root / "warm"
    for step in (perform, resume, fork):  # all that is imported and built at first use, once for all children
        step(warm, photo)
    content(next((warm / "forks").iterdir()))
    before.mkdir()
    if verb != "perform":
        perform(before, photo)
    shutil.copytree(before, whole)
    calls: list[str] = []
    marks = root / "calls"

    def count() -> None:
        counted(str(whole), calls.append)
        work(whole, photo)
        marks.write_text("\n".join(calls))

    code, said = child(count)
    assert code == 0, said
    calls = marks.read_text().splitlines()
    (folder,) = (path for path in (whole / place).iterdir() if path.is_dir())
    wanted = content(folder)
    print(
        json.dumps({"calls": len(calls), "names": sorted({name.split(" ")[0] for name in calls})}), flush=True
    )
    for number in range(len(calls)):
        for fault in [faults[number % len(faults)]] if turns else faults:
            here = root / "here"
            shutil.rmtree(here, ignore_errors=True)
            shutil.copytree(before, here)
            found = disturbed(work, here, photo, place, fault, number, wanted)
            if found:
                print(
                    json.dumps({"fault": fault, "number": number, "call": calls[number], "found": found}),
                    flush=True,
                )


def disturbed(
    work: Callable[[Path, Path], None],
    here: Path,
    photo: Path,
    place: str,
    fault: str,
    number: int,
    wanted: dict[str, Any],
) -> list[str]:
    """What is wrong after a fault at one call, and after going on from there; empty if all is well."""
    left = [number]

    def act(name: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            if fault == "kill":
                os._exit(KILLED)
            raise OSError(getattr(errno, fault), os.strerror(getattr(errno, fault)))

    def first() -> None:
        counted(str(here), act)
        work(here, photo)

    code, said = child(first)
    found = []
    if fault == "kill" and code != KILLED:
        found.append(f"ended with {code}: {said}")
    if fault != "kill" and code not in (0, 1):
        found.append(f"ended with {code}: {said}")
    if fault != "kill" and code == 1 and not 1 <= len(said.splitlines()) <= 3:
        found.append(f"said {said!r}")
    entries = overview(here / place)
    damaged = [entry.why for entry in entries if entry.state == "damaged"]
    if damaged:
        found.append(f"damaged: {damaged}")

    def second() -> None:
        now = overview(here / place)
        if not now:
            work(here, photo)
        elif place == "forks" or work is perform:
            run = RunDirectory(now[-1].folder)
            if (
                run.state != "done"
                or not (run.folder / "painting.png").exists()
                or not any(run.folder.glob("film.*"))
            ):
                experiment.resume(run)
        else:  # a resume to more epochs: said again, unless it had come so far that it goes on by itself
            run = RunDirectory(now[-1].folder)
            if run.recipe.epochs == 3.0 and int(run.checkpoint()[2]["step"]) == wanted["step"]:
                try:
                    experiment.resume(run)
                except SfumatoError as error:
                    if "is done" not in str(error):
                        raise
            else:
                work(here, photo)

    code, said = child(second)
    if code:
        found.append(f"going on ended with {code}: {said}")
    folders = [path for path in (here / place).iterdir() if path.name != "index.sqlite"] if not code else []
    if not code and len(folders) != 1:
        found.append(f"left {[path.name for path in folders]}")
    elif not code:
        found += [f"differs in {part}" for part in compared(content(folders[0]), wanted)]
    return found


if __name__ == "__main__":
    chosen = [argument for argument in sys.argv[3:] if argument != "--turns"]
    main(Path(sys.argv[1]), sys.argv[2], chosen, turns="--turns" in sys.argv)
