"""Options that do not exist, and words that are refused before PyTorch is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sfumato.__main__ import main
from sfumato.recipe import Recipe
from sfumato.recipe.registries import of_fields, signatures
from sfumato.runs import RunDirectory


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["paint", "--schedule", "cosin"], "has no --schedule\n  hint: --set schedule=VALUE"),
        (["paint", "--schedule=cosin"], "has no --schedule\n  hint: --set schedule=VALUE"),
        (["digits", "--weight", "3"], "has no --weight\n  hint: "),
        (["digits", "--schedule", "x"], "has no --schedule\n  hint: --set schedule=VALUE"),
        (["atlas", "last", "--layr", "3"], "has no --layr\n  hint: did you mean --layer?"),
        (["paint", "--epcohs", "3"], "has no --epcohs\n  hint: did you mean --epochs?"),
        (["runs", "--srt", "name"], "has no --srt\n  hint: did you mean --sort?"),
        (["compare", "--sedes", "name"], "--sedes\n  hint: did you mean --seeds?"),
        (["atals", "last"], "'atals' is no command\n  hint: did you mean atlas?"),
        (["resume", "last", "--budget", "9s"], "hint: --epochs N goes on to N in all"),
        (["resume", "last", "--rate", "9"], "hint: a run keeps its recipe; --fork STEP --set rate=VALUE"),
        (["resume", "last", "--until", "psnr=x"], "until='psnr=x' is unknown"),
        (["resume", "last", "--fork", "3", "--until", "psnr=3"], "--until is for going on"),
        (
            ["gigapixel", "x.png", "--budget", "9s"],
            "no --budget: a picture in shards has no budget in seconds",
        ),
        (["gigapixel", "x.png", "--held-out=0.1"], "has no --held-out: a picture in shards hides no pixels"),
        (["zzzz"], "'zzzz' is no command\n  hint: sfumato --help"),
        (["paint", "--seed", "x"], "hint: a whole number, or random on the command line"),
        (["paint", "--engine", "gpu"], "engine 'gpu' is unknown; known are auto, cuda,"),
        (["paint", "--epochs", "3", "--epochs", "4"], "--epochs specified multiple times"),
        (["compare", "--tune", "0", "--recipes", "siren", "--tune", "3"], "--tune specified multiple times"),
        (["compare", "--seeds", "--tune", "3"], "--seeds requires an argument"),
        (["sweep"], "FILE requires an argument"),
    ],
)
def test_what_is_meant_is_said(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) in (2, 3)
    err = capsys.readouterr().err
    assert words in err and len(err.splitlines()) <= 3, err


EARLY = {
    "paint --frames x": "frames='x' is unknown",
    "paint --until psnr=x": "until='psnr=x' is unknown",
    "paint --film mp5": "film='mp5' is unknown; did you mean 'mp4'?",
    "digits --film mov": "film='mov' is unknown",
    "paint --engine gpu": "engine 'gpu' is unknown; known are auto, cuda,",
    "paint --held-out chekcer": "did you mean 'checker'?",
    "gigapixel photo.png --activation sin": "did you mean 'sine'?",
    "resume done --fork 1 --set loss=msee": "did you mean 'mse'?",
    "compare --recipes classic+optimizer=adma": "did you mean 'adam'?",
    "compare --held-out blokcs": "did you mean 'blocks'?",
    "export done film.mov": "did you mean 'film.mp4'?",
    "export done film.mp4 --step 0": "a film takes no step, only size and with",
    "sweep base.toml": "did you mean 'sine'?",
    "sweep engine.toml": "engine.toml: engine 'abacus' is unknown",
    "sweep axis.toml": "grid has no 'level'; did you mean 'levels'?",
} | {
    f"paint --set {field}={name}x": f"{field}='{name}x' is unknown"
    for field, module in of_fields().items()
    for name in list(signatures(module))[:1]
}
"""Lines of the command line, and what they are answered before PyTorch is there."""


def test_misspelt_words_are_told_before_torch_is_imported(folder: Path) -> None:
    with RunDirectory.create(folder / "runs", Recipe(), "done", {}):
        pass
    (folder / "base.toml").write_text('activation = "sin"\n[grid]\nrate = [0.1]\n')
    (folder / "engine.toml").write_text('engine = "abacus"\n[grid]\nrate = [0.1]\n')
    (folder / "axis.toml").write_text('[grid]\nencoding = ["none", "grid:level=3"]\n')
    script = (
        "import sys\nfrom sfumato.__main__ import main\n"
        f"for line in {list(EARLY)!r}:\n"
        "    assert main(line.split()) in (2, 3), line\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    errors = done.stderr.split("error: ")[1:]
    for error, words in zip(errors, EARLY.values(), strict=True):
        assert words in error and "beats" not in error
        assert len(error.splitlines()) <= 3, error
