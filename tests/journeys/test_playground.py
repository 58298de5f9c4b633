"""The playground in a browser: what a person does there, with a real server, a real trainer and a small net."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

SMALL = (
    "#v=1&picture=disc&base=classic&net=2x16&optimizer=adam&rate=0.01&batch=512&epochs=60&seed=0"
    "&engine=eager&threads=1"
)
"""A configuration that is trained in a few seconds: 72 steps a pass."""

PATIENCE = 150_000
"""Milliseconds: machines of continuous integration are slow to import torch twice."""

expect.set_options(timeout=PATIENCE)


class Server:
    """`sfumato playground` in a process of its own."""

    def __init__(self, out: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "sfumato", "playground", "--no-open", "--out", str(out), *arguments]
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), "the first line is the address"

    @property
    def port(self) -> str:
        found = re.search(r":(\d+)/", self.url)
        assert found
        return found[1]

    def stop(self, number: int = signal.SIGINT) -> float:
        """Send a signal; the seconds until the process has ended."""
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        seconds = time.monotonic() - started
        assert self.process.stdout
        self.process.stdout.close()
        return seconds


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("playground"), "--port", "0")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        options = [
            "--no-sandbox",
            "--disable-dev-shm-usage",
        ]  # root, and containers with little shared memory
        started = driver.chromium.launch(executable_path=CHROMIUM, args=options)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser, server: Server) -> Iterator[Page]:
    """A page with the small configuration; afterwards nothing was wrong on its console."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.set_default_timeout(PATIENCE)
    opened.goto(server.url + SMALL)
    expect(opened.get_by_label("Layers")).to_have_value("2x16")
    yield opened
    context.close()
    assert not wrong


def until(page: Page, expression: str) -> None:
    """Wait for an expression to be true; playwright's own waiting needs eval, which the page's policy forbids."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def step(page: Page) -> int:
    """The step that the bar shows."""
    found = re.search(r"step ([\d,.]+)(k?)", page.locator(".facts").inner_text())
    assert found
    return round(float(found[1].replace(",", "")) * (1000 if found[2] else 1))


def started(page: Page) -> None:
    """Start the configuration of the page's address and wait until it trains."""
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("n")
    expect(page.locator(".state")).to_have_text("training")


def paused(page: Page) -> None:
    """Start, and pause at a moment past the first steps."""
    started(page)
    until(page, "/step [1-9]/.test(document.querySelector('.facts').innerText)")
    page.get_by_test_id("play").click()
    expect(page.locator(".state")).to_have_text("paused")


def test_play_pause_step_and_reset(page: Page) -> None:
    page.get_by_role("button", name="Watch it learn").click()
    expect(page.locator(".state")).to_have_text("training")
    page.get_by_test_id("play").click()
    expect(page.locator(".state")).to_have_text("paused")
    before = step(page)
    page.wait_for_timeout(400)
    assert step(page) == before, "paused is paused"
    page.get_by_role("button", name="One step").click()
    until(page, f"document.querySelector('.facts').innerText.includes('step {before + 1:,}')")
    expect(page.get_by_label("Painting: step")).to_be_visible()
    assert "dB" in page.get_by_test_id("psnr").inner_text()
    page.get_by_test_id("play").click()
    until(page, "document.querySelectorAll('.uplot').length === 1")
    page.get_by_role("button", name="Start again from the same seed").click()
    expect(page.locator(".state")).to_have_text("training")
    assert page.locator(".headline").inner_text().endswith("seed 0")
    expect(page.locator(".state")).to_have_text("done")
    assert page.get_by_test_id("wall").evaluate("canvas => canvas.width") > 100
