"""How long every verb is silent: the longest time without a word, in a pipe and in a terminal.

    python benchmarks/silence.py [--only resume,atlas] [--runs 10000] [--where pipe]

Each command runs in a process of its own, in a folder that is deleted afterwards, its output read with the time
at which it came: from the start to the first word, between two words, from the last to the end of the process. What
a terminal rewrites counts as a word. The promise: at most two seconds, also in a pipe. Let nothing else run on the
machine meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import itertools
import json
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from pathlib import Path

PICTURE = ["--budget", "15s"]
SWEEP = 'recipe = "classic"\nnet = "2x16"\nepochs = 3\noptions = {max_pixels = 5000}\n[grid]\nrate = [0.01, 0.02]\n'

VERBS: dict[str, list[str]] = {
    "dry-run": ["paint", "--dry-run"],
    "paint": ["paint", *PICTURE],
    "paint-epochs": ["paint", "--epochs", "4"],
    "resume": ["resume", "RUN", "--epochs", "8"],
    "fork": ["resume", "RUN", "--fork", "300", "--set", "rate=0.01"],
    "digits": ["digits", "--data", "digits8x8", "--epochs", "20"],
    "atlas": ["atlas", "RUN"],
    "atlas-layer": ["atlas", "RUN", "--layer", "4"],
    "atlas-plots": ["atlas", "RUN", "--plots", "regions,spectrum,ranks"],
    "report": ["export", "RUN", "report.html"],
    "report-many": ["runs", "RUN", "RUN", "--report", "both.html"],
    "film": ["export", "RUN", "film.mp4"],
    "film-panels": ["export", "RUN", "panels.mp4", "--with", "neurons,error,curve"],
    "export": ["export", "RUN", "big.png", "--size", "8x"],
    "export-net": ["export", "RUN", "net.safetensors"],
    "compare": ["compare", "--recipes", "classic", "siren", "--budget", "2s", "--seeds", "2", "--tune", "1",
                "--max-pixels", "5000"],
    "compare-depth": ["compare", "depth", "--layers", "1,2", "--equal", "units", "--epochs", "2", "--seeds", "2",
                      "--tune", "1", "--max-pixels", "5000", "--width", "16"],
    "sweep": ["sweep", "sweep.toml", "--out", "sweeps/x"],
    "study": ["study", "he_init", "--quick"],
    "playground": ["playground", "--no-open"],
    "doctor": ["doctor"],
    "bench": ["bench", "--rounds", "2"],
    "runs-many": ["runs", "--out", "many"],
    "runs-many-again": ["runs", "--out", "many"],
    "runs-json": ["runs", "--out", "many", "--json"],
    "runs-table": ["runs", "--out", "many", "--to", "many.csv"],
}  # fmt: skip
"""RUN stands for the run that `paint` left."""


@dataclass
class Word:
    """What came, and how many seconds after the start."""

    at: float
    text: str


def words_of(command: list[str], folder: Path, *, terminal: bool, until: str | None = None) -> list[Word]:
    """Run a command and hear it to its end. until: a text after which Ctrl-C is pressed."""
    if terminal:
        reader, writer = pty.openpty()
        fcntl.ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    else:
        reader, writer = os.pipe()
    environment = {**os.environ, "TERM": "xterm-256color"}
    started = time.monotonic()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, cwd=folder, env=environment
    )
    os.close(writer)
    words = [Word(0.0, "(start)")]
    while True:
        ready, _, _ = select.select([reader], [], [], 0.05)
        if ready:
            try:
                said = os.read(reader, 1 << 16)
            except OSError:  # the terminal's other end is closed
                said = b""
            if not said:
                break
            words.append(Word(time.monotonic() - started, said.decode(errors="replace")))
            if until and until in words[-1].text:
                process.send_signal(signal.SIGINT)
                until = None
    os.close(reader)
    code = process.wait()
    words.append(Word(time.monotonic() - started, f"(exit {code})"))
    return words


def longest(words: list[Word]) -> list[tuple[float, float, str, str]]:
    """The three longest silences: seconds, when they began, the last line before and the first after."""
    gaps = [(b.at - a.at, a.at, tail(a.text), head(b.text)) for a, b in itertools.pairwise(words)]
    return sorted(gaps, reverse=True)[:3]


def tail(text: str) -> str:
    lines = [line for line in text.replace("\r", "\n").replace("\x1b[K", "").split("\n") if line.strip()]
    return lines[-1].strip()[-40:] if lines else repr(text)[-40:]


def head(text: str) -> str:
    lines = [line for line in text.replace("\r", "\n").replace("\x1b[K", "").split("\n") if line.strip()]
    return lines[0].strip()[:40] if lines else repr(text)[:40]


def many_of(run: Path, count: int, folder: Path) -> None:
    """Copies of a run, each under a name of its own and without what no listing reads."""
    kept = {
        n: (run / n).read_bytes() for n in ("recipe.json", "origin.json", "metrics.jsonl", "painting.png")
    }
    for i in range(count):
        place = (
            folder / f"2026-11-{1 + i % 28:02d}_{i // 60 % 24:02d}{i % 60:02d}_mona-lisa_4x300-relu_{i:06x}"
        )
        (place / "frames").mkdir(parents=True)
        (place / "weights").mkdir()
        for name, content in kept.items():
            (place / name).write_bytes(content)


def main() -> None:
    """Print a line for each verb and place, and its longest silences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help=f"of {', '.join(VERBS)}")
    parser.add_argument("--where", default="pipe,terminal")
    parser.add_argument("--runs", type=int, default=10_000, help="runs that are listed")
    parser.add_argument("--folder", type=Path, help="keep everything here, and go on with what is there")
    options = parser.parse_args()
    chosen = [name for name in options.only.split(",") if name] or list(VERBS)
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(exist_ok=True)
        (folder / "sweep.toml").write_text(SWEEP)
        sfumato = [sys.executable, "-m", "sfumato"]
        if not (folder / "first").exists():
            subprocess.run(
                [*sfumato, "paint", "--epochs", "6", "--out", "first", "--quiet"], cwd=folder, check=True
            )
        first = next((folder / "first").iterdir())
        if any(name.startswith("runs") for name in chosen) and not (folder / "many").exists():
            many_of(first, options.runs, folder / "many")
        print(
            f"{'verb':18}{'where':10}{'whole':>7}{'silent':>8}  longest silences: seconds, after and before what"
        )
        for name in chosen:
            for place in options.where.split(","):
                for left in ("comparisons", "sweeps", "studies", "runs"):
                    shutil.rmtree(folder / left, ignore_errors=True)
                run = folder / "runs" / first.name
                shutil.copytree(first, run)
                if name == "runs-many":
                    (folder / "many" / "index.sqlite").unlink(missing_ok=True)
                words = [str(run) if word == "RUN" else word for word in VERBS[name]]
                stop = "http://" if name == "playground" else None
                heard = words_of([*sfumato, *words], folder, terminal=place == "terminal", until=stop)
                gaps = longest(heard)
                told = "; ".join(f"{s:.1f} at {at:.1f} ({a} | {b})" for s, at, a, b in gaps if s > 0.9)
                print(f"{name:18}{place:10}{heard[-1].at:7.1f}{gaps[0][0]:8.2f}  {told}", flush=True)
                if options.folder:
                    log = [{"at": round(word.at, 2), "text": word.text} for word in heard]
                    (folder / f"{name}-{place}.json").write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    main()
