"""The verbs in Python say what goes on, as the command line does: in a terminal, a pipe, a notebook; or nothing."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sfumato
from sfumato import progress
from sfumato.errors import RecipeError
from sfumato.progress.now import Now

SMALL: dict[str, Any] = {"net": (8,), "batch": 32, "engine": "eager"}
WATCH = sfumato.Watch("3", film="none")


def verbs(photo: Path, out: Path, **options: Any) -> list[Callable[[], sfumato.Run]]:
    """Every verb of the API that trains."""
    recipe = sfumato.Recipe(**SMALL, epochs=2)
    first: list[sfumato.Run] = []

    def paint() -> sfumato.Run:
        run = sfumato.paint(photo, recipe=recipe, out=out, watch=WATCH, **options)
        first.append(run)
        return run

    return [
        paint,
        lambda: sfumato.perform(recipe, str(photo), out=out, watch=WATCH, **options),
        lambda: sfumato.resume(first[0], epochs=3, **options),
        lambda: sfumato.fork(first[0], 4, {"rate": 1e-3}, out=out, **options),
        lambda: sfumato.digits("digits8x8", net=(8,), epochs=1, out=out, watch=WATCH, **options),
    ]


def test_every_verb_tells_by_default_and_is_silent_when_asked(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in verbs(photo, tmp_path):
        run = verb()
        out, err = capsys.readouterr()
        assert out == "" and str(run.folder) in err and "run.atlas()" in err and "sfumato atlas" not in err
        assert not set("\r\b\x1b") & set(err)
    for verb in verbs(photo, tmp_path, progress=False):
        verb()
        assert capsys.readouterr() == ("", "")


def test_a_refusal_leaves_no_thread_and_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(sfumato.PictureError):
        sfumato.paint(tmp_path / "none.png", steps=1)
    assert terminal.getvalue().startswith("\r\x1b[Kstarting") and terminal.getvalue().endswith("\r\x1b[K")
    assert "sfumato-progress" not in [thread.name for thread in threading.enumerate()]


def test_a_word_comes_before_torch_is_imported(tmp_path: Path) -> None:
    script = (
        "import sys, sfumato\n"
        "from sfumato.progress import renderers\n"
        "start = renderers.Lines.telling\n"
        "def telling(self):\n"
        "    print('torch' in sys.modules)\n"
        "    return start(self)\n"
        "renderers.Lines.telling = telling\n"
        "sfumato.paint(net='4', steps=1, max_pixels=10, alpha=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.stdout.startswith("False"), done.stderr


def test_a_notebook_sees_one_output_that_is_rewritten(
    photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[str] = []

    class Output:
        def update(self, data: dict[str, str], raw: bool) -> None:
            assert raw
            shown.append(data["text/plain"])

    def display(data: dict[str, str], raw: bool, display_id: bool) -> Output:
        assert raw and display_id
        shown.append(data["text/plain"])
        return Output()

    fake = ModuleType("IPython.display")
    fake.display = display  # type: ignore[attr-defined]
    for name, module in {"ipykernel": ModuleType("ipykernel"), "IPython": ModuleType("IPython")}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "IPython.display", fake)
    monkeypatch.setattr(progress.Notebook, "period", 0.0)
    run = sfumato.paint(photo, **SMALL, steps=8, out=tmp_path, watch=WATCH)
    assert shown[0] == "starting" and any("step 0/8" in text for text in shown)
    assert str(run.folder) in shown[-1] and "PSNR" in shown[-1] and "step 0/8" not in shown[-1]
    assert capsys.readouterr() == ("", "")


def test_a_long_step_is_not_silent() -> None:
    """Nothing comes from training while one step of a large net, or one large frame, takes its time."""
    for live in (True, False):
        stream = io.StringIO()
        now = Now(stream, live=live)
        now.set("step 1/10  loss 0.5")
        now.start()
        now._due = now._since
        until = time.monotonic() + 30
        while "0.5  " not in stream.getvalue() and time.monotonic() < until:
            time.sleep(0.05)
            now._since -= 1
            now._due = now._since
        now.stop()
        assert "step 1/10  loss 0.5  " in stream.getvalue()
        assert live or not set("\r\x1b") & set(stream.getvalue())


def test_digits_keep_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="epochs"):
        sfumato.digits("digits8x8", net=(4,), epochs=1, budget="5s", out=tmp_path)
    run = sfumato.digits("digits8x8", net=(4,), budget=3, out=tmp_path, watch=WATCH, progress=False)
    assert run.origin["budget"] == 3 and run.recipe.steps > 0
