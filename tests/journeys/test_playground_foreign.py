"""Runs from elsewhere on the page: made by someone hostile, or what a bad disk left of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playground_server import PATIENCE, Server, children, png
from playwright.sync_api import Browser, Page, expect

import sfumato
from sfumato.recipe import Recipe

expect.set_options(timeout=PATIENCE)

ATTACK = "<img src=x onerror=document.title='hacked'><script>document.title='hacked'<"
"""Harmless where it is text. A folder's name holds no slash."""

Change = Callable[[Path], object]


def facts(file: str, **values: Any) -> Change:
    """Other values in one of the small files."""

    def change(run: Path) -> None:
        path = run / file
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def line(**values: Any) -> Change:
    """One more line of metrics, like the last one but for these values."""

    def change(run: Path) -> None:
        path = run / "metrics.jsonl"
        last = json.loads(path.read_text().splitlines()[-1])
        path.write_text(path.read_text() + json.dumps(last | values) + "\n")

    return change


def torn(run: Path) -> None:
    for path in [run / "checkpoint.safetensors", *(run / "weights").iterdir()]:
        path.write_bytes(path.read_bytes()[:-50])


def bomb(run: Path) -> None:
    """In place of every frame a picture whose header says a thousand million pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", 40_000, 26_000, 8, 2, 0, 0, 0)
    content = png()[:12] + head + struct.pack(">I", zlib.crc32(head)) + png()[33:]
    for path in (run / "frames").iterdir():
        path.write_bytes(content)


def enormous(run: Path) -> None:
    """A net that nobody's memory holds, which is not done yet."""
    facts("recipe.json", net=[90_000] * 64, steps=20)(run)
    line(step=9, total_steps=20)(run)


def no_picture(run: Path) -> None:
    """The frames and the target are text; nothing says any more which bytes the target had."""
    facts("origin.json", files={})(run)
    for path in [run / "target.png", *(run / "frames").iterdir()]:
        path.write_text(f"<svg onload=x>{ATTACK}")


def link(run: Path) -> None:
    (run / "target.png").unlink()
    (run / "target.png").symlink_to("/etc/passwd")


def pipe(run: Path) -> None:
    (run / "target.png").unlink()
    os.mkfifo(run / "target.png")


DAMAGED: dict[str, tuple[Change, str]] = {
    "net of another type": (facts("recipe.json", net={"a": 1}), "recipe.json cannot be read"),
    "options of no size": (facts("recipe.json", options={"x": float("inf")}), "recipe.json cannot be read"),
    "origin of another type": (facts("origin.json", watch=[1]), "watch in origin.json"),
    "step of another type": (line(step="x"), "step is x"),
    "nan": (line(step=9, psnr=float("nan")), "NaN is no JSON"),
    "link": (link, "is a link"),
    "pipe": (pipe, "is a pipe"),
    ATTACK: (facts("recipe.json", net=[ATTACK]), "recipe.json cannot be read"),
}
"""Name of the run, what was done to it, and what the list says of it."""

SHOWN: dict[str, tuple[Change, str]] = {
    f"2026-11-28_1432_{ATTACK}_1x4-relu_abc": (
        facts(
            "origin.json", source=f"/x/{ATTACK}.png", forked=ATTACK, engine="\ud800" + ATTACK, argv=[ATTACK]
        ),
        "",
    ),
    "far away": (line(step=1 << 60, psnr=1e300, loss=-1e300, epoch=1e17, seconds=1e17), ""),
    "no target": (lambda run: (run / "target.png").unlink(), "holds no target.png"),
    "torn weights": (torn, "is damaged"),
    "no picture": (no_picture, "is no picture"),
    "bomb": (bomb, "too many for a page"),
    "enormous": (enormous, "the weights do not fit its recipe.json"),
}
"""Name of a run that opens, what was done to it, and what the page says then, if it must say something."""


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose folder came by post."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "photo.png").write_bytes(png())
    recipe = Recipe(net=(4, 4), batch=64, steps=8, engine="eager", threads=1)
    watch = sfumato.Watch("2", "2", film="none")
    made = sfumato.perform(
        recipe, str(folder / "photo.png"), out=folder / "made", watch=watch, progress=False
    ).folder
    out = folder / "runs"
    for name, (change, _) in (DAMAGED | SHOWN).items():
        shutil.copytree(made, out / name)
        change(out / name)
    shutil.copytree(made, out / "sound")
    shutil.copytree(made, out / os.fsdecode(b"no text \xff"))
    server = Server(out, "--port", "0")
    yield server
    server.stop()


def test_runs_from_elsewhere_are_told_or_shown_and_run_nothing(browser: Browser, foreign: Server) -> None:
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("dialog", lambda dialog: wrong.append(dialog.message))
    opened.goto(foreign.url)
    expect(opened.get_by_test_id("play")).to_be_enabled()
    workers = children(foreign.process.pid)
    damaged_runs_are_listed(opened)
    for name, (_, says) in SHOWN.items():
        chosen(opened, name)
        if says:
            expect(opened.get_by_role("alert")).to_contain_text(says)
        else:
            expect(opened.get_by_label(re.compile("Painting: step"))).to_be_visible()
    too_large_to_go_on(opened)
    chosen(opened, "sound")
    expect(opened.get_by_label(re.compile("Painting: step 8 "))).to_be_visible()
    expect(opened.locator("#neuron-option")).to_be_attached()
    assert opened.title() != "hacked"
    context.close()
    # A browser says of every refused request that it was one; the page says why.
    assert not [text for text in wrong if "the server responded with a status of 4" not in text]
    assert children(foreign.process.pid) == workers, "no worker has died of it"


def chosen(page: Page, name: str) -> None:
    """Open a run of the list."""
    page.get_by_role("button", name="Kept runs").click()
    title = name.split("_")[2] if name.startswith("2026") else name
    page.get_by_role("dialog").locator("button.row:enabled").filter(has_text=title).click()
    expect(page.get_by_role("dialog")).to_have_count(0)


def damaged_runs_are_listed(page: Page) -> None:
    page.get_by_role("button", name="Kept runs").click()
    for name, (_, says) in DAMAGED.items():
        button = page.get_by_role("dialog").locator("button.row:disabled").filter(has_text=name)
        expect(button).to_contain_text("damaged: ")
        expect(button).to_contain_text(says)
    expect(page.get_by_role("dialog")).to_contain_text("the name of its folder is no text")
    page.keyboard.press("Escape")


def too_large_to_go_on(page: Page) -> None:
    """A run that is not done may go on; a net that would take all memory is counted first."""
    page.get_by_role("button", name="Kept runs").click()
    listed = page.get_by_role("dialog").locator("li")
    listed.filter(has_text="enormous").get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("parameters, a page takes")
