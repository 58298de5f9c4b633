"""Names that are not UTF-8, outputs that cannot be written, readers that have gone: the work is kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_picture import FAST

import sfumato
from sfumato.__main__ import main
from sfumato.errors import SfumatoError
from sfumato.runs import listing

ROOT = str(Path(sfumato.__file__).parents[1])


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command line as bash runs it; `sfumato` is this package."""
    made = f'set -o pipefail; sfumato() {{ "{sys.executable}" -m sfumato "$@"; }}; {line}'
    path = os.environ | {"PYTHONPATH": ROOT} | environment
    return subprocess.run(["bash", "-c", made], capture_output=True, check=False, env=path)


PAINT = f"sfumato paint photo.png {' '.join(FAST)}"


@pytest.mark.parametrize("command", ["sfumato --help", "sfumato paint --help"])
def test_a_reader_that_has_gone_is_no_failure(folder: Path, command: str) -> None:
    done = shell(f"{command} | head -1 > /dev/null")
    assert done.returncode == 0 and done.stderr == b""


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (f"{PAINT} > /dev/full", 1, b"the output cannot be written"),
        (f"{PAINT} --json > /dev/full", 0, b""),
        (f"{PAINT} 2> /dev/full", 0, b""),
        (f"{PAINT} 2>&-", 0, b""),
        (f"{PAINT} >&-", 0, b"PSNR"),
        (f"{PAINT} 2>&1 | head -1 > /dev/null", 0, b""),
    ],
)
def test_an_output_that_cannot_be_written_ends_no_run(
    folder: Path, command: str, code: int, words: bytes
) -> None:
    done = shell(command)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr
    (run,) = listing("runs")
    assert run.state == "done" and (run.folder / "painting.png").exists()
    assert done.stdout in (b"", f"{run.folder}\n".encode())


def test_names_that_are_not_utf8_are_painted_listed_and_told(folder: Path) -> None:
    os.rename("photo.png", b"caf\xe9.png")  # noqa: PTH104  # bytes
    for encoding in ("utf-8", "latin-1", "ascii"):
        done = shell(f"sfumato paint $'caf\\xe9.png' {' '.join(FAST)}", PYTHONIOENCODING=encoding)
        assert done.returncode == 0, done.stderr
    assert shell("sfumato runs; sfumato runs last").returncode == 0
    done = shell("sfumato export last report.html")
    assert done.returncode == 0 and Path("report.html").stat().st_size > 1000, done.stderr


@pytest.mark.parametrize("out", ["", "a\0b"])
def test_a_folder_without_a_name_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], out: str
) -> None:
    before = sorted(Path().iterdir())
    assert main(["paint", "photo.png", *FAST, "--out", out]) == 2
    assert "is no folder" in capsys.readouterr().err and sorted(Path().iterdir()) == before
    with pytest.raises(SfumatoError):
        sfumato.paint("a\0b.png", steps=1)


def test_one_word_too_many_is_said_in_words(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paint", "a.jpg", "b.jpg"]) == 2
    err = capsys.readouterr().err
    assert "'b.jpg' is too much" in err and "sfumato compare" in err and "Unused" not in err


def test_the_example_says_how_it_is_used() -> None:
    example = Path(__file__).parents[2] / "examples" / "paint.py"
    done = subprocess.run([sys.executable, str(example)], capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.startswith("usage: ") and len(done.stderr.splitlines()) == 1
