"""The playground in a browser: what a person does there, with a real server, a real trainer and a small net."""

from __future__ import annotations

import io
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path

import av
import pytest
import safetensors.torch
import torch
from PIL import Image
from playground_page import at_step, chosen_neuron, paused, speed, step, until
from playground_server import PATIENCE, Server, png
from playwright.sync_api import Browser, Page, expect

from sfumato.runs import RunDirectory

expect.set_options(timeout=PATIENCE)


def test_play_pause_step_and_reset(page: Page) -> None:
    """At full speed: what is shown when the page says paused is where training stands."""
    page.get_by_label("Passes").fill("5000")
    page.get_by_role("button", name="Watch it learn").click()
    expect(page.locator(".state")).to_have_text("training")
    page.get_by_test_id("play").click()
    expect(page.locator(".state")).to_have_text("paused")
    before = step(page)
    page.wait_for_timeout(400)
    assert step(page) == before, "paused is paused"
    expect(page.get_by_label(re.compile(f"Painting: step {before:,} "))).to_be_visible()
    for number in (1, 2, 3):
        page.get_by_role("button", name="One step").click()
        at_step(page, before + number)
    for _ in range(3):
        page.keyboard.press(".")  # faster than training may answer: none is lost
    at_step(page, before + 6)
    expect(page.get_by_label(re.compile(f"Painting: step {before + 6:,} "))).to_be_visible()
    expect(page.get_by_test_id("psnr")).to_contain_text("dB")
    page.get_by_test_id("play").click()
    expect(page.locator(".uplot")).to_have_count(1)
    page.get_by_role("button", name="Start again from the same seed").click()
    expect(page.locator(".state")).to_have_text("training")
    expect(page.locator(".headline")).to_have_text(re.compile("seed 0$"))
    page.get_by_label("Passes").fill("20")
    page.get_by_role("button", name="Start anew").click()
    expect(page.locator(".state")).to_have_text("done")
    at_step(page, 1440)
    expect(page.get_by_label(re.compile("Painting: step 1,440 "))).to_be_visible()
    page.keyboard.press("Home")
    expect(page.get_by_label(re.compile("Painting: step 0 "))).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_label(re.compile("Painting: step 1,440 "))).to_be_visible()
    assert page.get_by_test_id("wall").evaluate("canvas => canvas.width") > 100


def test_going_back_in_time_and_to_the_present(page: Page) -> None:
    paused(page)
    newest = step(page)
    page.keyboard.press("Home")
    at_step(page, 0)
    expect(page.get_by_label(re.compile("Painting: step 0 "))).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label(re.compile("Painting: step [1-9]"))).to_be_visible()
    assert 0 < step(page) < newest
    page.get_by_label("Moment of the training").focus()
    page.keyboard.press("ArrowLeft")
    at_step(page, 0)
    page.keyboard.press("End")
    at_step(page, newest)
    expect(page.get_by_label(re.compile(f"Painting: step {newest:,} "))).to_be_visible()
    page.keyboard.press("Home")
    at_step(page, 0)
    page.get_by_role("button", name="Live").click()
    at_step(page, newest)
    expect(page.get_by_label(re.compile(f"Painting: step {newest:,} "))).to_be_visible()


def exact_values(page: Page, server: Server) -> None:
    """What is read out under the cursor: the picture's own bytes, and those of the painting."""
    expect(page.get_by_label(re.compile(f"Painting: step {step(page):,} "))).to_be_visible()
    page.get_by_role("group", name=re.compile("^Target: ")).hover(position={"x": 70, "y": 110})
    said = page.locator(".readout").inner_text()
    x, y, *values = (int(number) for number in re.findall(r"\d+", said.partition("off by")[0]))
    run = page.locator(".headline").get_attribute("title")
    shown = page.request.get(f"{server.url}api/pictures/disc").body()
    still = page.request.get(f"{server.url}api/runs/{run}/still").body()
    painted = still[4 + int.from_bytes(still[:4], "big") :]
    wanted, got = (Image.open(io.BytesIO(png)).convert("RGB").getpixel((x, y)) for png in (shown, painted))
    assert list(wanted) == values[:3]  # type: ignore[arg-type]
    # Its weights were kept in half precision to be painted again.
    assert max(abs(a - b) for a, b in zip(got, values[3:], strict=True)) <= 1  # type: ignore[arg-type]


def test_a_neuron_is_enlarged_and_removed(page: Page, server: Server) -> None:
    paused(page)
    exact_values(page, server)
    chosen_neuron(page)
    expect(page.get_by_role("heading", name="Layer 1, neuron 2")).to_be_visible()
    assert page.get_by_test_id("neuron").evaluate("canvas => canvas.width") == 192
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_text(re.compile("Without it the painting (loses|gains)"))).to_be_visible()
    expect(page.get_by_label(re.compile("Painting without 1:2"))).to_be_visible()
    page.get_by_role("button", name="Put it back").click()
    expect(page.get_by_label(re.compile("Painting: step"))).to_be_visible()
    page.get_by_label("Sort").select_option("importance")
    expect(page.locator(".wall .said")).to_contain_text("worth")


def test_a_fork_goes_on_with_another_activation_beside_its_parent(page: Page) -> None:
    paused(page, moments=8)
    page.get_by_label("Activation", exact=True).select_option("tanh")
    expect(page.get_by_text("Changed: activation")).to_be_visible()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Home")
    expect(page.get_by_label(re.compile("Painting: step 0 "))).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label(re.compile("Painting: step [1-9]"))).to_be_visible()
    at = step(page)
    page.get_by_role("button", name="Fork here").click()
    expect(page.locator(".headline")).to_contain_text("tanh")
    expect(page.get_by_text("B differs: activation tanh → relu")).to_be_visible()
    expect(page.get_by_label(re.compile("Painting B"))).to_be_visible()
    expect(page.get_by_label(re.compile(r"\|A − B\|"))).to_be_visible()
    expect(page.locator(".state")).to_have_text("done")
    page.keyboard.press("Home")
    at_step(page, at)
    page.get_by_role("button", name="End comparison").click()
    expect(page.get_by_label(re.compile("Painting B"))).to_have_count(0)


def test_a_picture_is_brought_and_learned(page: Page) -> None:
    brought = {"name": "my cat.png", "mimeType": "image/png", "buffer": png(160, 120)}
    page.get_by_label("Picture file").set_input_files(brought)
    expect(page.get_by_role("radio", name="my-cat")).to_be_checked()
    paused(page, moments=2)
    expect(page.get_by_text("160 × 120 pixels")).to_be_visible()
    expect(page.locator(".headline")).to_have_text(re.compile("^my-cat"))


def test_a_link_carries_the_whole_configuration(page: Page, server: Server) -> None:
    """Also while something else is being trained: what the address asks for stands in the controls."""
    paused(page)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Layers").fill("3x8")
    page.get_by_label("Activation", exact=True).select_option("sine")
    page.get_by_label("Arguments of activation sine").fill("omega=12")
    page.get_by_label("Arguments of activation sine").blur()
    page.get_by_role("radio", name="Stripes").check(force=True)
    page.get_by_role("button", name="Copy a link").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    link = page.evaluate("navigator.clipboard.readText()")
    other = page.context.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(link)
    expect(other.get_by_label("Layers")).to_have_value("3x8")
    expect(other.get_by_label("Arguments of activation sine")).to_have_value("omega=12")
    expect(other.get_by_role("radio", name="Stripes")).to_be_checked()
    expect(other.get_by_label("Rate", exact=True)).to_have_value("0.01")
    other.get_by_role("button", name="Copy a link").click()
    expect(other.get_by_text("Copied")).to_be_visible()
    assert other.evaluate("navigator.clipboard.readText()") == link
    other.get_by_role("button", name="Start anew").click()
    expect(page.locator(".headline")).to_have_text(re.compile("^stripes · 3x8 sine:omega=12"))
    expect(page.get_by_label("Layers")).to_have_value("3x8")
    expect(page.get_by_role("radio", name="Stripes")).to_be_checked()


DISPATCHED = """([kind, bytes, name]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
    const more = { bubbles: true, cancelable: true };
    const made = kind === 'paste'
        ? new ClipboardEvent('paste', { clipboardData: data, ...more })
        : new DragEvent(kind, { dataTransfer: data, ...more });
    document.body.dispatchEvent(made);
}"""
"""What a browser dispatches when a person pastes or drops a file."""


def test_a_picture_is_pasted(page: Page) -> None:
    page.evaluate(DISPATCHED, ["paste", list(png(50, 20)), "from the clipboard.png"])
    expect(page.get_by_role("radio", name="from-the-clipboard")).to_be_checked()


def test_a_picture_is_dropped(page: Page) -> None:
    page.evaluate(DISPATCHED, ["dragover", [], "x.png"])
    expect(page.get_by_text("Drop the picture to learn it")).to_be_visible()
    page.evaluate(DISPATCHED, ["drop", list(png(20, 50)), "let go.png"])
    expect(page.get_by_role("radio", name="let-go")).to_be_checked()
    expect(page.get_by_text("Drop the picture to learn it")).to_have_count(0)


def test_a_picture_is_taken_with_the_camera(page: Page) -> None:
    page.context.grant_permissions(["camera"])
    page.get_by_role("button", name="Take a picture with the camera").click()
    page.get_by_role("button", name="Take it").click()
    expect(page.get_by_role("radio", name="camera")).to_be_checked()
    expect(page.locator("video")).to_have_count(0)


def test_two_runs_are_trained_at_once_and_compared(page: Page) -> None:
    """A is the run shown, B what the controls say; both pause and step, and one cursor shows both."""
    paused(page)
    page.get_by_label("Activation", exact=True).select_option("tanh")
    page.evaluate("document.activeElement.blur()")
    speed(page, 3)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("another activation")).to_be_visible()
    page.get_by_role("button", name="Train both").click()
    expect(page.get_by_text("Both see the same pixels in the same order.")).to_be_visible()
    expect(page.get_by_label(re.compile("Painting B: step [1-9]"))).to_be_visible()
    until(page, "Number(document.querySelector('[data-testid=time]').max) >= 2")
    page.keyboard.press("Space")
    expect(page.locator(".state")).to_have_text("paused")
    expect(page.get_by_label(re.compile(r"\|A − B\|: dark: equal"))).to_be_visible()
    neurons_of_b(page)
    late = page.context.new_page()
    late.set_default_timeout(PATIENCE)
    late.goto(page.url.partition("#")[0])
    expect(late.get_by_label(re.compile("Painting B: step [1-9]"))).to_be_visible()
    late.close()
    page.keyboard.press("Home")
    expect(page.get_by_label(re.compile("Painting A: step 0 "))).to_be_visible()
    expect(page.get_by_label(re.compile("Painting B: step 0 "))).to_be_visible()
    page.keyboard.press("End")
    speed(page, 5)
    page.keyboard.press("Space")
    expect(page.locator(".state")).to_have_text("done")
    expect(page.get_by_label(re.compile("Painting A: step 4,320 "))).to_be_visible()
    expect(page.get_by_label(re.compile("Painting B: step 4,320 "))).to_be_visible()
    page.get_by_role("button", name="End comparison").click()
    expect(page.get_by_label(re.compile("Painting B"))).to_have_count(0)
    page.get_by_role("button", name="Kept runs").click()
    expect(page.get_by_role("dialog").get_by_text("2x16-tanh").first).to_be_visible()


def neurons_of_b(page: Page) -> None:
    """The wall, one neuron at full size and the painting without it, of the second run; then back to the first."""
    expect(page.get_by_text(re.compile("^Layer 1 of A"))).to_be_visible()
    page.get_by_role("button", name="B", exact=True).click()
    expect(page.get_by_text(re.compile("^Layer 1 of B"))).to_be_visible()
    chosen_neuron(page)
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_label(re.compile("Painting B without 1:2"))).to_be_visible()
    expect(page.get_by_label(re.compile("Painting A: step"))).to_be_visible()
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("b")
    expect(page.get_by_text(re.compile("^Layer 1 of A"))).to_be_visible()


def opens(file: str, content: bytes) -> bool:
    """Whether a file that was taken away is what its name says."""
    if file.endswith(".png"):
        width = Image.open(io.BytesIO(content)).size[0]
        return width == 4 * 192 if file == "painting.png" else width > 3 * 192
    if file.endswith(".gif"):
        return Image.open(io.BytesIO(content)).n_frames > 1  # type: ignore[attr-defined]
    if file.endswith(".mp4"):
        with av.open(io.BytesIO(content)) as film:
            return len(list(film.decode(video=0))) > 1
    if file.endswith(".safetensors"):
        return any("weight" in name for name in safetensors.torch.load(content))
    if file.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return any(name.endswith("/recipe.json") for name in archive.namelist())
    return content.startswith(b"<!doctype html>") and b"disc" in content


def test_everything_is_taken_away_and_opens(page: Page, tmp_path: Path) -> None:
    """Each file from its button; and the command and the Python lines make the same run again, bit for bit."""
    page.get_by_label("Passes").fill("5")
    page.get_by_role("button", name="Watch it learn").click()
    expect(page.locator(".state")).to_have_text("done")
    at_step(page, 360)
    page.get_by_role("button", name="Take away").click()
    dialog = page.get_by_role("dialog", name="Take it away")
    dialog.get_by_label("Size of the painting").select_option("4x")
    names = [text for text in dialog.locator("li button").all_inner_texts() if text != "page.html"]
    assert len(names) == 7
    for name in names:
        with page.expect_download() as download:
            dialog.get_by_role("button", name=name).click()
        assert opens(name, Path(download.value.path()).read_bytes()), name
    command, lines = dialog.locator("code").all_inner_texts()
    folder = Path(shlex.split(command)[2]).parent
    wanted = RunDirectory(folder).checkpoint()[0]
    words = [sys.executable, "-m", "sfumato", *shlex.split(command)[1:], "--out", str(tmp_path / "command")]
    subprocess.run(words, check=True, capture_output=True, cwd=tmp_path)
    subprocess.run([sys.executable, "-c", lines], check=True, capture_output=True, cwd=tmp_path)
    for out in ("command", "runs"):
        (made,) = (tmp_path / out).iterdir()
        again = RunDirectory(made).checkpoint()[0]
        assert all(torch.equal(again[name], value) for name, value in wanted.items()), out


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"not a picture at all", "not a picture"), (b"", "empty"), (png()[:200], "truncated or damaged")],
    ids=["text", "empty", "torn"],
)
def test_what_is_no_picture_is_refused_in_words(page: Page, content: bytes, says: str) -> None:
    page.get_by_label("Picture file").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": content}
    )
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(re.compile(says))
    assert "/tmp" not in alert.inner_text(), "no path of the server is told"


def test_a_run_goes_into_one_file_that_needs_no_server(page: Page, browser: Browser, tmp_path: Path) -> None:
    paused(page, moments=6)
    page.get_by_role("button", name="Take away").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="page.html").click()
    file = tmp_path / "page.html"
    download.value.save_as(file)
    assert file.stat().st_size < 3_000_000
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    alone = context.new_page()
    wrong: list[str] = []
    alone.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    alone.on("pageerror", lambda error: wrong.append(str(error)))
    alone.on("request", lambda asked: wrong.append(asked.url) if asked.url.startswith("http") else None)
    alone.goto(file.as_uri())
    expect(alone.get_by_label(re.compile("Painting: step [1-9]"))).to_be_visible()
    assert alone.get_by_test_id("play").count() == 0
    alone.keyboard.press("Home")
    expect(alone.get_by_label(re.compile("Painting: step 0 "))).to_be_visible()
    alone.keyboard.press("End")
    chosen_neuron(alone)
    alone.get_by_role("button", name="Remove it").click()
    expect(alone.get_by_text(re.compile("Without it the painting (loses|gains)"))).to_be_visible()
    context.close()
    assert not wrong
