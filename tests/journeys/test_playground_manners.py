"""The playground's manners in a browser: keyboard, contrast, less motion, two tabs, a server that dies."""

from __future__ import annotations

import io
import re
import signal
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playground_page import SMALL, Scheme, at_step, chosen_neuron, paused, step, until
from playground_server import PATIENCE, Server, children, gone, png
from playwright.sync_api import Browser, Page, expect

expect.set_options(timeout=PATIENCE)


def test_everything_by_keyboard(page: Page) -> None:
    """Tab reaches the controls; keys play, pause, step, scrub, choose a layer and a neuron, and open what
    there is."""
    paused(page)
    before = step(page)
    page.keyboard.press(".")
    at_step(page, before + 1)
    page.keyboard.press("l")
    expect(page.get_by_role("button", name="Layer 2")).to_have_attribute("aria-pressed", "true")
    page.get_by_label("Neurons of layer 2").focus()
    expect(page.locator("#neuron-option")).to_contain_text("Layer 2, neuron 0")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#neuron-option")).to_contain_text("neuron 2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Layer 2, neuron 2")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("heading", name="Layer 2, neuron 2")).to_have_count(0)
    page.evaluate("document.activeElement.blur()")
    for key, title in (("?", "What goes on here"), ("e", "Take it away"), ("c", "Compare with")):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog", name=title)).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name=title)).to_have_count(0)
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Zoom 2×")).to_be_visible()
    page.keyboard.press("2")
    expect(page.get_by_label("Speed")).to_have_value("2")
    page.keyboard.press("5")
    page.get_by_label("Layers").focus()
    page.keyboard.press("r")
    assert step(page) == before + 1, "a letter typed into a field is no command"
    reached = set()
    page.evaluate("document.activeElement.blur()")
    name = "(element) => element.getAttribute('aria-label') || element.innerText"
    for _ in range(70):
        page.keyboard.press("Tab")
        reached.add(page.evaluate(f"({name})(document.activeElement)"))
    for wanted in ("Play", "Take away", "Moment of the training", "Live", "Neurons of layer"):
        assert any(wanted in str(one) for one in reached), f"Tab does not reach {wanted}"


def test_a_key_in_the_moment_in_which_a_dialog_closes_is_heard(page: Page) -> None:
    """The browser says that a dialog has closed some time after it has; on a busy machine a key comes between."""
    paused(page)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="What goes on here")).to_be_visible()
    page.evaluate("""() => {
        document.querySelector("dialog").close();
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "e", bubbles: true }));
    }""")
    page.wait_for_timeout(200)
    expect(page.get_by_role("dialog", name="Take it away")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    expect(page.get_by_role("button", name="Zoom 2×")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1400, 390])
def test_nothing_serious_for_who_cannot_see_or_point(
    browser: Browser, server: Server, width: int, scheme: Scheme
) -> None:
    """axe-core on the page with a run, on a desk and on a phone, in both themes; nothing hangs over the side."""
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce"
    )
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.goto(server.url + SMALL)
    paused(opened, 2)
    expect(opened.locator(".network .layer")).to_have_count(2)
    chosen_neuron(opened)
    found = Axe().run(opened).response["violations"]
    grave = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not [f"{one['id']}: {one['nodes'][0]['html']}" for one in grave]
    assert opened.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if width == 390:
        expect(opened.get_by_test_id("play")).to_be_in_viewport()
        opened.get_by_role("button", name="Picture and network").click()
        expect(opened.get_by_label("Layers")).to_be_visible()
    context.close()


def test_who_asks_for_less_motion_sees_a_new_painting_once_a_second(browser: Browser, server: Server) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, reduced_motion="reduce")
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.goto(server.url + SMALL.replace("epochs=60", "epochs=3000"))
    expect(opened.get_by_test_id("play")).to_be_enabled()
    opened.keyboard.press("n")
    opened.locator("[aria-label^='Painting: step']").wait_for()
    opened.wait_for_timeout(1500)  # what comes with the start is shown at once
    opened.evaluate(
        """() => {
          const painting = document.querySelector("[aria-label^='Painting: step']");
          window.shown = [];
          new MutationObserver(() => window.shown.push(performance.now()))
            .observe(painting, { attributes: true, attributeFilter: ["aria-label"] });
        }"""
    )
    until(opened, "window.shown.length >= 4")
    times = opened.evaluate("window.shown")
    assert all(later - earlier > 900 for earlier, later in pairwise(times)), times
    opened.keyboard.press("Space")
    expect(opened.locator(".state")).to_have_text("paused")
    context.close()


def test_two_tabs_see_the_same_and_closing_one_stops_nothing(page: Page, server: Server) -> None:
    paused(page)
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(server.url)
    expect(other.locator(".state")).to_have_text("paused")
    at_step(other, step(page))
    other.keyboard.press("Space")
    expect(page.locator(".state")).to_have_text("training")
    other.close()
    expect(page.locator(".state")).to_have_text("done")


def test_a_server_that_dies_and_comes_back(browser: Browser, tmp_path: Path) -> None:
    """The page says that the connection is lost, comes back by itself, and the run's training was saved."""
    first = Server(tmp_path, "--port", "0")
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.goto(first.url + SMALL)
    expect(opened.get_by_label("Layers")).to_have_value("2x16")
    paused(opened)
    trainers = children(first.process.pid)
    assert len(trainers) >= 2
    first.stop(signal.SIGKILL)
    expect(opened.get_by_role("alert")).to_contain_text("connection to the server is lost")
    expect(opened.locator(".state")).to_have_text("no connection")
    opened.get_by_test_id("play").click()
    expect(opened.get_by_text("There is no connection to the server: nothing was done.")).to_be_visible()
    gone(trainers)
    second = Server(tmp_path, "--port", first.port)
    expect(opened.get_by_text("connection to the server is lost")).to_have_count(0)
    opened.get_by_role("button", name="Kept runs").click()
    expect(opened.get_by_role("dialog").get_by_text("interrupted")).to_be_visible()
    opened.get_by_role("button", name="Go on").click()
    expect(opened.locator(".state")).to_have_text("done")
    context.close()
    workers = children(second.process.pid)
    second.stop()
    gone(workers)


def test_a_picture_and_a_run_are_named_on_the_command_line(browser: Browser, tmp_path: Path) -> None:
    """A picture waits before its first step if told to; what it became is opened by its name."""
    photo, out = tmp_path / "small photo.png", tmp_path / "runs"
    photo.write_bytes(png(24, 16))
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    server = Server(out, str(photo), "--paused", "--port", "0")
    opened.goto(server.url)
    expect(opened.locator(".state")).to_have_text("paused")
    at_step(opened, 0)
    opened.keyboard.press("Home")  # there is no moment behind it yet: what is shown is still the present
    expect(opened.get_by_role("button", name="Live")).to_have_attribute("aria-pressed", "true")
    expect(opened.locator(".headline")).to_have_text(re.compile("^small-photo · 4x300 relu"))
    opened.get_by_role("button", name="One step").click()
    at_step(opened, 1)
    server.stop()
    (run,) = (one for one in out.iterdir() if one.is_dir())
    server = Server(out, run.name, "--port", "0")
    assert server.url.endswith(f"#run={run.name}")
    opened.goto(server.url)
    expect(opened.get_by_text("You look at a kept run.")).to_be_visible()
    expect(opened.get_by_label(re.compile("Painting: step 1 "))).to_be_visible()
    context.close()
    server.stop()


AT_ONCE = """when => setTimeout(
    () => document.querySelector("[aria-label='Fork here']").click(), when - Date.now()
)"""
"""A click at a time of the clock, which two pages share."""


def contents(page: Page, server: Server, run: str) -> dict[str, bytes]:
    """The files of a run."""
    content = page.request.get(f"{server.url}api/runs/{run}/export/run.zip").body()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def forks(page: Page, server: Server, parent: str) -> dict[str, str]:
    """Activation and state of the runs that left `parent`."""
    listed = [row["run"] for row in page.request.get(f"{server.url}api/runs").json()["runs"]]
    stories = [page.request.get(f"{server.url}api/runs/{name}").json() for name in listed]
    left = [one for one in stories if f"/{parent} at step 0" in (one["forked"] or "")]
    return {one["recipe"]["activation"]: one["state"] for one in left}


def test_two_tabs_fork_the_same_run_at_the_same_moment(page: Page, server: Server) -> None:
    """Both forks are there, the later one trained and the other one to go on with, and both tabs show the same."""
    page.get_by_label("Passes").fill("2")
    page.get_by_role("button", name="Watch it learn").click()
    expect(page.locator(".state")).to_have_text("done")
    parent = page.locator(".headline").get_attribute("title") or ""
    before = contents(page, server, parent)
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(server.url)
    expect(other.locator(".headline")).to_have_attribute("title", parent)
    tabs = {"tanh": page, "sine": other}
    for activation, tab in tabs.items():
        tab.get_by_label("Activation", exact=True).select_option(activation)
        tab.evaluate("document.activeElement.blur()")
        tab.keyboard.press("Home")
        at_step(tab, 0)
        expect(tab.get_by_label("Fork here")).to_be_enabled()
    when = page.evaluate("Date.now() + 300")
    for tab in tabs.values():
        tab.evaluate(AT_ONCE, when)
    until(page, "document.querySelector('.state').innerText !== 'done'")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    for tab in tabs.values():
        expect(tab.locator(".state")).to_have_text("done")
        at_step(tab, 144)
    heads = [tab.locator(".headline").get_attribute("title") for tab in tabs.values()]
    assert heads[0] == heads[1] != parent
    shown = next(name for name in tabs if name in page.locator(".headline").inner_text())
    (late,) = tabs.keys() - {shown}
    assert forks(page, server, parent) == {shown: "done", late: "interrupted"}
    assert contents(page, server, parent) == before
    for tab in tabs.values():
        expect(tab.get_by_label("Activation", exact=True)).to_have_value(shown)
        expect(tab.get_by_text(f"B differs: activation {shown} → relu")).to_be_visible()
    other.get_by_role("button", name="Kept runs").click()
    other.get_by_role("dialog").get_by_role("button", name="Go on").first.click()
    for tab in tabs.values():
        expect(tab.locator(".headline")).to_contain_text(late)
        expect(tab.locator(".state")).to_have_text("done")
        at_step(tab, 144)
    assert forks(page, server, parent) == {shown: "done", late: "done"}
    other.close()


def test_what_is_too_large_is_refused_before_it_is_made(page: Page, server: Server) -> None:
    """Whichever field makes it large: a line, the same training process, and the next run is trained."""
    workers = children(server.process.pid)
    usual = {"Encoding of the place": "none", "Activation": "relu", "Optimizer": "adam"}
    for field, name, arguments, says in (
        ("Encoding of the place", "fourier", "bands=200000", "must lie in 1 ... 65536"),
        ("Encoding of the place", "fourier", "bands=60000", "parameters, a page takes 50,000,000"),
        ("Encoding of the place", "grid", "features=1000,base=64,log2_table=20", "need tables of more than"),
        ("Activation", "maxout", "pieces=64", "parameters, a page takes 50,000,000"),
        ("Optimizer", "lbfgs", "pairs=100", "pairs=100 remembers"),
    ):
        page.get_by_label("Layers").fill("4x1500")
        page.get_by_label(field, exact=True).select_option(name)
        page.get_by_label(f"Arguments of {field.lower()} {name}").fill(arguments)
        page.get_by_label("Layers").press("Enter")
        page.get_by_test_id("play").click()
        expect(page.get_by_role("alert")).to_contain_text(says)
        expect(page.locator(".state")).to_have_text("failed")
        page.get_by_label(field, exact=True).select_option(usual[field])
    assert children(server.process.pid) == workers
