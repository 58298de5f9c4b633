"""What the playground's page costs and how quick it is, with a real browser beside a real training.

    python benchmarks/playground.py [--seconds 20] [--rounds 4] [--tabs 24]

Starts a server of its own, trains `classic` on the Mona Lisa, and alternates: the page open for some seconds,
then closed for as many, again and again. The rate of steps with the page open over that with it closed is the
median of the pairs; a spread that crosses 0.9 gives no verdict. Then: seconds from play to the first painting,
walls of all neurons a second, and rate and memory under many tabs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
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


def memory(pid: int) -> int:
    """Resident megabytes of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in (pid, *children))
    return pages * 4096 >> 20


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
        command = [sys.executable, "-m", "sfumato", "playground", "--no-open", "--port", "0", "--out", out]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        url = server.stdout.readline().strip()
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
        print(f"first painting   {time.perf_counter() - started:.2f} s after play")
        page.close()
        time.sleep(5)
        ratios = pairs(browser, spy, url, given.rounds, given.seconds)
        print(f"step rate        {statistics.median(ratios):.3f} of that without a page")
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}, {given.rounds} pairs of {given.seconds:g} s"
        print(f"                 ({spread})")
        spy.walls.clear()
        spy.send(type="watch", layers=[1, 2, 3, 4], visible=True)
        time.sleep(given.seconds)
        fourth = [when for when, layer in spy.walls if layer == 4]
        spy.send(type="watch", layers=[], visible=False)
        print(f"all 1,200 neurons {(len(fourth) - 1) / (fourth[-1] - fourth[0]):.2f} times a second")
        before, alone = memory(server.pid), measured(spy, given.seconds)
        tabs = [browser.new_page() for _ in range(given.tabs)]
        for tab in tabs:
            tab.goto(url)
        many = measured(spy, given.seconds)
        after = memory(server.pid)
        print(f"{given.tabs} tabs          rate {many / alone:.2f} of none, memory {before} to {after} MB")
        browser.close()
        started = time.perf_counter()
        server.send_signal(2)
        server.wait(20)
        print(f"Ctrl-C           {time.perf_counter() - started:.2f} s until all had ended")


if __name__ == "__main__":
    main()
