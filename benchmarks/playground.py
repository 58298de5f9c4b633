"""What the playground's page costs and how quick it is, with a real browser beside a real training.

    python benchmarks/playground.py [--seconds 5] [--rounds 30] [--tabs 24]

Starts a server of its own, trains `classic` on the Mona Lisa for longer than all this takes, and alternates:
the page open for some seconds, then closed for as many, again and again. The rate of steps with the page open
over that with it closed is the mean of the pairs with Student's interval; one that holds 0.9 gives no verdict
(a pair alone scatters by 0.08). On a busy machine steps a processor second of the trainer still say what
looking costs it, and the browser's own share is told apart. Then: seconds from play to the first painting,
walls of all neurons a second, rate and memory with many pages (sockets that take and acknowledge everything, as
pages on other machines do) and after a hundred pages that vanish; and how a server ends by Ctrl-C, with its
terminal, and killed: seconds until the last of its processes is gone. Let nothing else run meanwhile.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from sfumato.compare.statistics import spread, student


class Spy:
    """A page that looks at nothing and only hears the news: steps, with the time at which each came."""

    def __init__(self, url: str) -> None:
        self.socket = connect(
            url.replace("http", "ws") + "api/socket",
            origin=url.rstrip("/"),
            max_size=None,  # type: ignore[arg-type]
        )
        self.steps: list[tuple[float, int]] = []
        self.told: list[dict[str, Any]] = []
        self.walls: list[tuple[float, int]] = []
        threading.Thread(target=self._hear, daemon=True).start()

    def _hear(self) -> None:
        for message in self._messages():
            if isinstance(message, bytes):
                size = int.from_bytes(message[:4], "big")
                header = json.loads(message[4 : 4 + size])
                self.send(type="ack", id=header["id"])
                self.walls.append((time.perf_counter(), len(header.get("layers", ()))))
                continue
            event = json.loads(message)
            self.told.append(event)
            if event["event"] == "pulse":
                self.steps.append((time.perf_counter(), event["step"]))

    def _messages(self) -> Iterator[str | bytes]:
        with contextlib.suppress(ConnectionClosed):  # the server has ended, which is what is measured then
            yield from self.socket

    def send(self, **command: Any) -> None:
        self.socket.send(json.dumps(command))

    def wait(self, found: Any, seconds: float = 120) -> None:
        end = time.perf_counter() + seconds
        while not found():
            assert time.perf_counter() < end, "the playground did not answer in time"
            time.sleep(0.02)

    def rate(self, start: float, end: float) -> float:
        """Steps a second between two times, from the first and the last news in between."""
        inside = [one for one in self.steps if start <= one[0] <= end]
        return (inside[-1][1] - inside[0][1]) / (inside[-1][0] - inside[0][0])


def family(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def memory(pid: int) -> int:
    """Resident megabytes of a process and its children."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in family(pid))
    return pages * 4096 >> 20


def seconds_of(pids: Iterable[int]) -> float:
    """Processor seconds that processes have used so far."""
    spent = 0
    for one in pids:
        with contextlib.suppress(OSError):  # it has ended
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            spent += int(fields[11]) + int(fields[12])
    return spent / os.sysconf("SC_CLK_TCK")


def below(pid: int) -> list[int]:
    """All processes that a process has started, and theirs."""
    children = family(pid)[1:]
    return children + [one for child in children for one in below(child)]


def served(out: str) -> tuple[subprocess.Popen[str], str]:
    """A server and its address."""
    command = [sys.executable, "-m", "sfumato", "playground", "--no-open", "--port", "0", "--out", out]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout
    return server, server.stdout.readline().strip()


def lives(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped by init does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ended(server: subprocess.Popen[str], number: int) -> float:
    """Seconds from a signal until server and workers are gone."""
    pids = family(server.pid)
    started = time.perf_counter()
    server.send_signal(number)
    server.wait(20)
    while any(lives(one) for one in pids):
        assert time.perf_counter() < started + 20, "a worker outlives its server"
        time.sleep(0.01)
    return time.perf_counter() - started


def vanish(url: str, count: int) -> None:
    """Pages that connect and go without a goodbye."""
    for _ in range(count):
        with connect(url.replace("http", "ws") + "api/socket", origin=url.rstrip("/")) as socket:  # type: ignore[arg-type]
            socket.socket.shutdown(2)


def measured(spy: Spy, seconds: float) -> float:
    time.sleep(2)  # what opening and closing a page costs is not what an open page costs
    start = time.perf_counter()
    time.sleep(seconds)
    return spy.rate(start, time.perf_counter())


def pairs(browser: Browser, spy: Spy, url: str, pid: int, rounds: int, seconds: float) -> list[list[float]]:
    """Ratios of steps a second, and of steps a processor second of the trainer, with a page to those without; and
    processor seconds a second that drawing takes (the browser's renderer and its GPU process).

    Each stretch with a page is held against the mean of those before and after it: key moments, each a painting,
    become rarer as a run goes on.
    """
    trainer = max(family(pid)[1:], key=lambda one: seconds_of([one]))

    def stretch() -> tuple[float, float, float]:
        time.sleep(1)
        drawing = [one for one in below(os.getpid()) if one not in family(pid)]
        used, drawn, step = seconds_of([trainer]), seconds_of(drawing), spy.steps[-1][1]
        rate = measured(spy, seconds)
        steps = (spy.steps[-1][1] - step) / (seconds_of([trainer]) - used)
        return rate, steps, (seconds_of(drawing) - drawn) / (seconds + 2)

    rows: list[list[float]] = []
    before = stretch()
    for _ in range(rounds):
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url)
        opened = stretch()
        page.close()
        after = stretch()
        closed = [statistics.mean(two) for two in zip(before, after, strict=True)]
        rows.append([opened[0] / closed[0], opened[1] / closed[1], opened[2] - closed[2]])
        said = f"a second {rows[-1][0]:.3f}, a processor second {rows[-1][1]:.3f}"
        print(
            f"  open {opened[0]:.1f} steps/s; open to closed: {said}, drawing {rows[-1][2]:.2f} of a core",
            flush=True,
        )
        before = after
    return rows


def between(values: list[float]) -> tuple[float, float]:
    """Mean, and half the width of Student's 95 % interval."""
    mean, deviation = spread(values)
    return mean, student(0.975, len(values) - 1) * deviation / math.sqrt(len(values))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--tabs", type=int, default=24)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as out, sync_playwright() as driver:
        built = files("sfumato.playground").joinpath("page")
        parts = ("index.html", "app.js", "app.css")
        size = sum(len(gzip.compress(built.joinpath(name).read_bytes())) for name in parts)
        print(f"page              {size / 1000:.1f} kB with gzip")
        server, url = served(out)
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        spy = Spy(url)
        ready = lambda: any(  # noqa: E731  # the default picture can be learned
            one["key"] == "mona-lisa" for event in spy.told for one in event.get("pictures", ())
        )
        spy.wait(ready)
        spy.wait(lambda: any(event["event"] == "menus" or event.get("menus") for event in spy.told))
        time.sleep(5)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url)
        page.get_by_role("button", name="Watch it learn").wait_for()
        started = time.perf_counter()
        page.get_by_role("button", name="Watch it learn").click()
        page.locator("[aria-label^='Painting: step']").wait_for()
        print(f"first painting    {time.perf_counter() - started:.2f} s after play")
        page.close()
        # A rate that many epochs bear; so the cost of a step, by silent units, changes slowly too.
        spy.steps.clear()
        spy.send(type="start", recipe={"base": "classic", "epochs": 5000, "rate": 0.013}, picture="mona-lisa")
        spy.wait(lambda: spy.steps and spy.steps[-1][1] > 1000)  # the first moments are kept every few steps
        rows = pairs(browser, spy, url, server.pid, given.rounds, given.seconds)
        ratios = [row[0] for row in rows]
        own, drawing = (statistics.median(row[i] for row in rows) for i in (1, 2))
        mean, off = between(ratios)
        print(f"step rate         {mean:.3f} ± {off:.3f} of that without a page (95 %)")
        range_ = f"median {statistics.median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}"
        print(f"                  ({range_}, {given.rounds} pairs of {given.seconds:g} s)")
        print(f"  a processor s   {own:.3f} of that without; drawing takes {drawing:.2f} of a core")
        spy.walls.clear()
        spy.send(type="watch", layers=[1, 2, 3, 4], beside=[], visible=True)
        time.sleep(given.seconds)
        whole = sum(layers == 4 for _, layers in spy.walls)
        spy.send(type="watch", layers=[], beside=[], visible=False)
        print(f"all 1,200 neurons {whole / given.seconds:.2f} times a second")
        before, alone = memory(server.pid), measured(spy, given.seconds)
        tabs = [Spy(url) for _ in range(given.tabs)]
        for tab in tabs:
            tab.send(type="watch", layers=[1, 2, 3, 4], beside=[], visible=True)
        many = measured(spy, given.seconds)
        after = memory(server.pid)
        for tab in tabs:
            tab.socket.close()
        print(f"{given.tabs} tabs           rate {many / alone:.2f} of none, memory {before} to {after} MB")
        browser.close()
        before, handles = memory(server.pid), len(list(Path(f"/proc/{server.pid}/fd").iterdir()))
        vanish(url, 100)
        after = measured(spy, given.seconds)
        left = len(list(Path(f"/proc/{server.pid}/fd").iterdir())) - handles
        print(
            f"100 gone          rate {after / alone:.2f} of none, memory {before} to {memory(server.pid)} MB, "
            f"{left} files more open"
        )
        print(f"Ctrl-C            {ended(server, signal.SIGINT):.2f} s until all had ended, in training")
        for number in (signal.SIGHUP, signal.SIGKILL):
            server, url = served(out)
            spy = Spy(url)
            spy.wait(lambda: any(one.get("menus") or one["event"] == "menus" for one in spy.told))  # noqa: B023
            spy.wait(lambda: any(one["event"] == "pictures" or one.get("pictures") for one in spy.told))  # noqa: B023
            spy.send(type="start", recipe={"base": "classic"}, picture="mona-lisa")
            spy.wait(lambda: len(spy.steps) > 3)  # noqa: B023
            print(f"{number.name:17s} {ended(server, number):.2f} s until all had ended, in training")


if __name__ == "__main__":
    main()
