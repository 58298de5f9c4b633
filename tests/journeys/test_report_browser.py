"""The report in a browser, opened from disk: by mouse, by keyboard, on a phone, on paper; it asks no network."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from sfumato import api
from sfumato.picture import from_array, save
from sfumato.recipe import Recipe
from sfumato.runs.watch import Watch
from sfumato.views import report


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run of 8 frames on a picture of 150 x 180: large enough for JPEG tiles and a video."""
    folder = tmp_path_factory.mktemp("page")
    rows, columns = np.mgrid[0:180, 0:150] / 180
    values = np.stack([rows, columns, 0.5 + 0.5 * np.sin(20 * rows * columns)], 2).astype(np.float32)
    save(from_array(values), folder / "waves.png")
    recipe = Recipe(net=(24, 16), batch=512, steps=80, rate=0.005, engine="eager", threads=1)
    watch = Watch(frames="8", keep="3", film="none")
    run = api.perform(recipe, str(folder / "waves.png"), out=folder, watch=watch)
    report.write([run, run], folder / "both.html")
    return run.report().path


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, file: Path) -> Iterator[Page]:
    """The opened page; afterwards: nothing was asked of a network, nothing was wrong on the console."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type != "log" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith("http") else None)
    opened.goto(file.as_uri())
    yield opened
    context.close()
    assert not wrong


def until(page: Page, expression: str, seconds: float = 20) -> None:
    """Wait for an expression to be true; playwright's own waiting needs eval, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(30)


def test_the_line_moves_by_mouse_and_by_keys(page: Page) -> None:
    stage, at = page.locator(".wipe .stage"), page.locator(".at")
    box = stage.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 60, steps=4)
    page.mouse.up()
    assert abs(int(at.input_value()) - 80) <= 1
    line = page.locator(".line").bounding_box()
    assert line and abs(line["x"] - box["x"] - 0.8 * box["width"]) < 4
    at.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert at.input_value() == "1" and at.get_attribute("aria-valuetext") == "1 % painting"


def test_time_moves_film_curve_and_numbers_together(page: Page) -> None:
    beats = page.evaluate("facts.runs[0].beats")
    video, cursor = page.locator("video"), page.locator("#time")
    until(page, "document.querySelector('video').readyState > 1")
    cursor.focus()
    page.keyboard.press("Home")
    assert page.locator("#readout td").first.inner_text() == "0"
    until(page, "document.querySelector('video').currentTime < 0.5 / facts.runs[0].film.fps + 0.01")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert page.locator("#readout td").first.inner_text() == f"{beats[3]['step']}"
    assert f"epoch {beats[3]['epoch']:.4g}" in (cursor.get_attribute("aria-valuetext") or "")
    until(page, "Math.abs(document.querySelector('video').currentTime * facts.runs[0].film.fps - 3.5) < 0.1")
    area = page.locator(".plot:visible .area")
    box = area.bounding_box()
    assert box
    area.click(position={"x": box["width"] - 2, "y": 20})
    assert page.locator("#readout td").first.inner_text() == "80"
    page.select_option("#axis", "seconds")
    page.check("#log")
    assert page.locator(".plot:visible").count() == 1
    assert page.locator(".plot:visible .cursor").is_visible()
    page.click("#play")
    until(page, "document.querySelector('#play').textContent === 'Play'")
    assert page.locator("#readout td").first.inner_text() == "80"
    assert not video.evaluate("v => v.error")


def test_the_wall_and_the_table_find_each_neuron(page: Page) -> None:
    page.click("#layers button >> nth=1")
    assert page.locator(".tile:visible").count() == 16
    page.select_option("#order", "index")
    first = page.locator(".tile:visible").first
    first.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.key") == "2:1"
    page.keyboard.press("Enter")
    dialog = page.locator("#large")
    assert dialog.is_visible() and page.locator("#large-name").inner_text() == "Layer 2, neuron 1"
    page.keyboard.press("ArrowRight")
    assert page.locator("#large-name").inner_text() == "Layer 2, neuron 2"
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    page.click("#table th button >> text=mean")
    means = [row[page.evaluate("column.mean")] for row in page.evaluate("table.rows")]
    key = page.locator("#table tbody tr").first.get_attribute("data-key")
    rows = page.evaluate("table.rows")
    assert key == "{}:{}".format(*rows[int(np.argmax(means))][:2])
    page.click("#table th button >> text=mean")
    assert page.locator("#table th[aria-sort=ascending]").count() == 1
    page.select_option("#only", "2")
    assert page.locator("#count").inner_text() == "16 neurons"
    page.fill("#find", "2:5")
    row = page.locator("#table tbody tr")
    assert row.count() == 1
    row.focus()
    assert page.locator(".tile.lit").get_attribute("data-key") == "2:5"
    page.keyboard.press("Enter")
    assert page.locator("#large-name").inner_text() == "Layer 2, neuron 5"


def test_the_theme_turns_and_text_stays_readable(page: Page) -> None:
    """Contrast of ink and soft ink on paper, WCAG 2.2 (1.4.3): at least 4.5 in both themes."""
    measure = """() => {
      const style = getComputedStyle(document.documentElement);
      const light = (name) => {
        const hex = style.getPropertyValue(name).trim();
        const [r, g, b] = [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const contrast = (a, b) => {
        const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05);
      };
      return [contrast("--ink", "--paper"), contrast("--soft", "--paper"), contrast("--soft", "--card"),
        contrast("--accent-ink", "--accent"), contrast("--ink", "--mark"), contrast("--accent", "--paper")];
    }"""
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert min(page.evaluate(measure)) >= 4.5
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    assert min(page.evaluate(measure)) >= 4.5
    # It is remembered. A page's storage reaches the browser a moment after the click, on a busy machine later
    # than a reload at once: nobody reloads so soon, so it may take more than one.
    end = time.monotonic() + 20
    while True:
        page.reload()
        if page.evaluate("getComputedStyle(document.body).backgroundColor") != before:
            break
        assert time.monotonic() < end


def test_nothing_hangs_over_the_side(page: Page, file: Path) -> None:
    for path in (file, file.parent.parent / "both.html"):
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        small = page.evaluate(
            "[...document.querySelectorAll('p,dt,dd,td,th,button,figcaption')].filter((e) => e.offsetParent && "
            "parseFloat(getComputedStyle(e).fontSize) < 11).length"
        )
        assert small == 0


def test_the_page_prints(page: Page) -> None:
    paper = page.pdf(format="A4")
    assert paper.startswith(b"%PDF") and len(paper) > 20_000
    page.emulate_media(media="print")
    assert page.locator(".texture:visible").count() == 2 and page.locator(".tile:visible").count() == 0
    assert page.locator("#play").is_hidden() and page.locator("video").is_visible()


def test_without_scripts_the_story_is_still_there(browser: Browser, file: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(file.as_uri())
    assert opened.locator(".texture:visible").count() == 2
    assert opened.locator(".plot:visible").count() == 1
    assert opened.locator("pre").first.is_visible()
    context.close()
