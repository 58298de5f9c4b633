"""A browser and the playground's page in it, for tests of what a person does there."""

from __future__ import annotations

import json
import re
import time
from typing import Literal

from playground_server import PATIENCE
from playwright.sync_api import Page, expect

SMALL = (
    "#v=1&picture=disc&base=classic&net=2x16&optimizer=adam&rate=0.01&batch=512&epochs=60&seed=0"
    "&engine=eager&threads=1"
)
"""A configuration that is trained in a few seconds: 72 steps a pass."""

Scheme = Literal["light", "dark"]

expect.set_options(timeout=PATIENCE)


def until(page: Page, expression: str) -> None:
    """Wait for an expression to be true; playwright's own waiting needs eval, which the page's policy forbids."""
    end = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def step(page: Page) -> int:
    """The step that the bar shows."""
    found = re.search(r"step ([\d,]+)", page.locator(".facts").inner_text())
    assert found
    return int(found[1].replace(",", ""))


def at_step(page: Page, number: int) -> None:
    """Wait until the bar shows this step."""
    expect(page.locator(".facts")).to_contain_text(re.compile(rf"step {number:,}(?![\d,])"))


def speed(page: Page, level: int) -> None:
    """Choose a speed by its key, and wait until the server has said it back."""
    page.keyboard.press(str(level))
    expect(page.get_by_label("Speed")).to_have_value(str(level))


def paused(page: Page, moments: int = 4) -> None:
    """Start with a new seed, as the key N does, and pause when some moments can be gone back to.

    Sixty steps a second until then: at full speed a run is over before a busy browser presses pause.
    """
    expect(page.get_by_test_id("play")).to_be_enabled()
    speed(page, 3)
    before = page.locator(".headline").inner_text()
    page.keyboard.press("n")
    until(page, f"document.querySelector('.headline').innerText !== {json.dumps(before)}")
    until(page, f"Number(document.querySelector('[data-testid=time]').max) >= {moments}")
    page.keyboard.press("Space")
    expect(page.locator(".state")).to_have_text("paused")
    speed(page, 5)


def chosen_neuron(page: Page) -> None:
    """Click the wall's third neuron and wait for its large picture."""
    expect(page.get_by_label("Neurons of layer 1")).to_be_visible()
    expect(page.locator("#neuron-option")).to_be_attached()
    page.get_by_test_id("wall").click(position={"x": 2.5 * 61, "y": 20})
    expect(page.get_by_text("fires on")).to_be_visible()
