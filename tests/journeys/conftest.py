"""A browser with a camera, and the playground's page in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playground_page import SMALL
from playground_server import PATIENCE, Server
from playwright.sync_api import Browser, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as driver:
        options = [
            "--no-sandbox",  # root
            "--disable-dev-shm-usage",  # containers with little shared memory
            "--use-fake-device-for-media-stream",  # a camera that shows a test picture
            "--use-fake-ui-for-media-stream",
        ]
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
    # A browser says of every refused request that it was one; the page says why, and tests read that.
    assert not [text for text in wrong if "status of 422" not in text]
