"""Nothing is silent: what is said while a person waits, in a terminal and in a pipe."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from small_picture import FAST

from sfumato import progress
from sfumato.__main__ import main
from sfumato.cli import preview
from sfumato.cli.commands import VERBS
from sfumato.errors import RecipeError
from sfumato.progress import now, renderers
from sfumato.runs import listing


class Terminal(io.StringIO):
    """A stream that says it is a terminal, and tells when something was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """stderr becomes a terminal. Not a fixture: pytest puts its own stream there before the test begins."""
    found = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", found)
    return found


def test_waiting_says_at_once_goes_on_by_itself_and_leaves_no_trace() -> None:
    stream = Terminal()
    with progress.Waiting("atlas", stream, live=True) as tell:
        assert stream.getvalue().startswith("\r\x1b[Katlas"), "the first word comes before any work"
        tell("layer 2 of 4")
        stream.written.clear()
        assert stream.written.wait(30), "nobody calls, and yet it says more"
    assert "atlas  layer 2 of 4" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")
    assert "sfumato-progress" not in [thread.name for thread in threading.enumerate()]


def test_waiting_in_a_pipe_writes_lines_and_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(now, "FIRST", 1.1)
    stream = Terminal()
    with progress.Waiting("export poster.png", stream, live=False) as tell:
        assert stream.getvalue() == "", "what is over at once says nothing"
        tell("40% painted")
        assert stream.written.wait(30)
    first = stream.getvalue().splitlines()[0]
    assert first.startswith("export poster.png  40% painted  ")
    assert not set("\r\b\x1b") & set(stream.getvalue())


def test_quiet_waiting_is_silent() -> None:
    stream = Terminal()
    with progress.Waiting("atlas", stream, live=True, quiet=True) as tell:
        tell("layer 1")
    assert stream.getvalue() == ""


def test_waiting_ends_before_an_error_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = at_a_terminal(monkeypatch)
    assert main(["atlas", "nothing"]) == 1
    assert terminal.getvalue().startswith("\r\x1b[Katlas")
    assert "\r\x1b[Kerror: " in terminal.getvalue(), "an error begins a line of its own"


def test_paint_in_a_terminal_says_what_goes_on_and_shows_the_painting(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = at_a_terminal(monkeypatch)
    shown: list[Path] = []
    show: Callable[..., bool] = lambda path: bool(shown.append(path)) or True  # noqa: E731
    monkeypatch.setattr(preview, "show", show)
    assert main(["paint", "photo.png", *FAST]) == 0, terminal.getvalue()
    text = terminal.getvalue()
    assert text.startswith("\r\x1b[Kstarting"), "a word before the imports"
    sentence, live, paths = (text.index(w) for w in ("neurons learns the", "step 0/", "see     "))
    assert sentence < live < paths
    (run,) = listing("runs")
    assert shown == [run.folder / "painting.png"]
    for more in (["--no-preview"], ["--quiet"], ["--json"]):
        assert main(["paint", "photo.png", *FAST, *more]) == 0
    assert len(shown) == 1


LASTING = {
    "paint": ["nothing.png"],
    "digits": ["--data", "nothing"],
    "gigapixel": ["nothing.tif"],
    "resume": ["nothing"],
    "runs": ["nothing"],
    "export": ["nothing", "film.mp4"],
    "atlas": ["nothing"],
    "doctor": ["nothing"],
    "bench": ["--only", "nothing"],
    "compare": ["--recipes", "nothing"],
    "sweep": ["nothing.toml"],
    "study": ["nothing"],
}
"""Verbs that may last, each with words that it soon refuses."""


def test_every_verb_says_a_word_before_it_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(LASTING) | {"playground"} == set(VERBS), "the playground prints its address and stays"
    for verb, words in [*LASTING.items(), ("compare", ["depth", "nothing.png"])]:
        terminal = at_a_terminal(monkeypatch)
        assert main([verb, *words]) in (1, 2, 3), verb
        assert terminal.getvalue().startswith(("\r\x1b[K" + verb, "\r\x1b[Kstarting")), verb
        assert "sfumato-progress" not in [thread.name for thread in threading.enumerate()]


def test_results_of_many_runs_stay_and_the_line_goes_on() -> None:
    """compare, sweep and study write a line a result; between two of them minutes may pass."""
    stream = Terminal()
    with progress.Waiting("compare", stream, live=True) as tell:
        tell.write("runs 1/40  siren 30.2 dB")
        stream.written.clear()
        assert stream.written.wait(30), "nobody calls, and yet it says more"
    assert "\r\x1b[Kruns 1/40  siren 30.2 dB\n\r\x1b[Kcompare" in stream.getvalue()
    with progress.Waiting("compare", stream := Terminal(), quiet=True) as tell:
        tell.write("runs 1/40")
    assert stream.getvalue() == ""


def test_the_line_lives_while_it_is_asked_what_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead units are counted after the last step, which took seconds for a wide net; then all is said at once."""
    stream = Terminal()
    live = progress.Live(stream)

    def closing(facts: object, *, python: bool) -> list[str]:
        stream.written.clear()
        assert stream.written.wait(30), "nothing is said meanwhile"
        return ["PSNR 30 dB"]

    monkeypatch.setattr(renderers, "closing", closing)
    with live.telling():
        live("doing", {"text": "painting and film"})
        live("done", {})
    assert "painting and film" in stream.getvalue() and stream.getvalue().endswith("PSNR 30 dB\n\r\x1b[K")


def test_a_fork_that_trains_again_says_how_far_it_is(photo: Path, tmp_path: Path) -> None:
    from sfumato import experiment
    from sfumato.recipe import Recipe
    from sfumato.runs.watch import Watch

    small = Recipe(net=(6,), batch=16, epochs=3.0, engine="eager", threads=1)
    run = experiment.perform(small, str(photo), out=tmp_path, watch=Watch(frames="2", film="none"))
    told: list[str] = []
    experiment.fork(
        run, 9, {}, out=tmp_path, say=lambda event, facts: told.append(f"{event} {facts.get('text')}")
    )
    again = "doing training again to step 9, where the fork leaves: "
    assert [text for text in told if text.startswith(again)][:1] == [f"{again}0 of 9"]
    assert told.index(f"{again}9 of 9") < next(k for k, text in enumerate(told) if text.startswith("start"))


def test_a_command_leaves_without_a_last_look_at_everything(tmp_path: Path) -> None:
    """The collector's last round over all of PyTorch took 0.8 seconds of processor time, after the last word."""
    script = (
        "import atexit, gc, sys; from sfumato.__main__ import main; sys.argv = ['sfumato', '--version'];"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0)); sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"


def test_a_dry_run_needs_no_compiler_of_pytorch(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """torch._dynamo takes a third of the start; it comes with the first of PyTorch's own optimizers."""
    script = (
        "import sys; from sfumato.__main__ import main; "
        "assert main(['paint', 'photo.png', '--dry-run']) == 0; assert 'torch' in sys.modules; "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_export_and_atlas_tell_how_far_they_are(folder: Path) -> None:
    from sfumato.run import Run
    from sfumato.views.atlas import atlas_of
    from sfumato.views.export import export

    assert main(["paint", "photo.png", *FAST, "--quiet"]) == 0
    run = Run(listing("runs")[0].folder)
    told: list[str] = []
    export(run, folder / "film.gif", tell=told.append)
    assert told[0].startswith("frame 1 of ") and len(told) >= 2
    told.clear()
    export(run, folder / "large.png", size="4x", tell=told.append)
    assert told[-1] == "100% painted"
    told.clear()
    paths = atlas_of(run, tell=told.append)
    sheets = [k for k, text in enumerate(told) if text.startswith("sheet")]
    measured = [k for k, text in enumerate(told) if "worth" in text]
    assert max(sheets) < min(measured) and len(measured) == len(run.recipe.net)
    assert paths[-1].name == "neurons.csv"
    told.clear()
    for asked in (
        {"sort": "nonsense"},
        {"plots": ["nonsense"]},
        {"view": "x"},
        {"layer": 9},
        {"chosen": "9:1"},
    ):
        with pytest.raises(RecipeError):
            atlas_of(run, **asked, tell=told.append)
        assert not told, f"{asked} is refused before the work"
    (drawn, table) = atlas_of(run, layer=1, tell=told.append)
    assert (drawn.name, table.name) == ("layer-1.png", "neurons-layer-1.csv")
    assert sum("worth" in text for text in told) == 1, "no other layer is measured"
    whole = (run.folder / "atlas" / "neurons.csv").read_text().splitlines()
    alone = table.read_text().splitlines()
    assert alone == [whole[0], *(line for line in whole[1:] if line.startswith("1,"))]
