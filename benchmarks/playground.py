"""What the playground's page costs and how quick it is, with a real browser beside a real training.

    python benchmarks/playground.py [--seconds 20] [--rounds 4] [--tabs 24]

Starts a server of its own, trains `classic` on the Mona Lisa, and alternates: the page open for some seconds,
then closed for as many, again and again. The rate of steps with the page open over that with it closed is the
median of the pairs; a spread that crosses 0.9 gives no verdict. Then: seconds from play to the first painting,
walls of all neurons a second, rate and memory under many tabs and after a hundred pages that vanish; and how a
server ends by Ctrl-C, with its terminal, and killed: seconds until the last of its processes is gone. Let nothing
else run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from websockets.sync.client import connect


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
        for message in self.socket:
            if isinstance(message, bytes):
                size = int.from_bytes(message[:4], "big")
                header = json.loads(message[4 : 4 + size])
                self.send(type="ack", id=header["id"])
                self.walls.append((time.perf_counter(), header.get("layer", 0)))
                continue
            event = json.loads(message)
            self.told.append(event)
            if event["event"] == "pulse":
                self.steps.append((time.perf_counter(), event["step"]))

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


def served(out: str) -> tuple[subprocess.Popen[str], str]:
    """A server and its address."""
    command = [sys.executable, "-m", "sfumato", "playground", "--no-open", "--port", "0", "--out", out]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert server.stdout
    return server, server.stdout.readline().strip()


def ended(server: subprocess.Popen[str], number: int) -> float:
    """Seconds from a signal until server and workers are gone."""
    pids = family(server.pid)
    started = time.perf_counter()
    server.send_signal(number)
    server.wait(20)
    while any(Path(f"/proc/{one}").exists() for one in pids):
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


def pairs(browser: Browser, spy: Spy, url: str, rounds: int, seconds: float) -> list[float]:
    ratios = []
    for _ in range(rounds):
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(url)
        opened = measured(spy, seconds)
        page.close()
        ratios.append(opened / measured(spy, seconds))
        print(f"  open {opened:.1f} steps/s, ratio {ratios[-1]:.3f}", flush=True)
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--rounds", type=int, default=4)
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
        time.sleep(5)
        ratios = pairs(browser, spy, url, given.rounds, given.seconds)
        print(f"step rate         {statistics.median(ratios):.3f} of that without a page")
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}, {given.rounds} pairs of {given.seconds:g} s"
        print(f"                  ({spread})")
        spy.walls.clear()
        spy.send(type="watch", layers=[1, 2, 3, 4], visible=True)
        time.sleep(given.seconds)
        fourth = sum(layer == 4 for _, layer in spy.walls)
        spy.send(type="watch", layers=[], visible=False)
        print(f"all 1,200 neurons {fourth / given.seconds:.2f} times a second")
        before, alone = memory(server.pid), measured(spy, given.seconds)
        tabs = [browser.new_page() for _ in range(given.tabs)]
        for tab in tabs:
            tab.goto(url)
        many = measured(spy, given.seconds)
        after = memory(server.pid)
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
