"""How a command ends: a few lines on stderr, an exit code, and the same as JSON where that was asked for."""

from __future__ import annotations

import errno
import json

import pytest

from sfumato import errors
from sfumato.cli.outcome import Outcome

KINDS = [getattr(errors, name) for name in errors.__all__]


def ends(error: BaseException | None, *argv: str) -> int:
    with Outcome(argv) as outcome:
        if error is not None:
            raise error
    return outcome.code


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_of_ours_has_its_code_and_its_own_words(
    kind: type[errors.SfumatoError], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(kind("what, where\nhint: do this")) == kind.exit_code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "error: what, where\n  hint: do this\n")


def test_what_goes_well_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(None) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "stopped\n"),
        (MemoryError("1 TiB"), 1, "error: out of memory: 1 TiB\n  hint: a smaller --batch or picture\n"),
        (
            ZeroDivisionError("oh\nno"),
            1,
            "error: ZeroDivisionError: oh\n  hint: --debug shows the traceback\n",
        ),
        (ValueError(), 1, "error: ValueError: \n  hint: --debug shows the traceback\n"),
    ],
)
def test_what_is_no_error_of_ours_is_told_in_a_line(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ends(error) == code
    assert capsys.readouterr().err == says


def test_debug_shows_the_traceback_of_ours_and_lets_the_others_through(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ends(errors.RunError("it broke"), "runs", "--debug") == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and err.endswith("error: it broke\n")
    with pytest.raises(ZeroDivisionError):
        ends(ZeroDivisionError(), "runs", "--debug")
    assert Outcome(["runs", "--debug", "last"]).arguments == ["runs", "last"]


def test_with_json_the_error_is_an_object_on_stdout_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(errors.RecipeError("rate=x\nhint: a number"), "paint", "--json") == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == {"v": 1, "event": "error", "exit": 2, "message": "rate=x\nhint: a number"}
    assert err == "error: rate=x\n  hint: a number\n"


def test_control_characters_of_a_message_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    ends(errors.RunError("run '\x1b[2Jx\r' is gone"))
    assert not set("\x1b\r") & set(capsys.readouterr().err)


def test_an_error_of_a_file_is_told_as_python_tells_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert ends(OSError(errno.ENOSPC, "No space left on device", "x.png")) == 1
    assert "No space left on device" in capsys.readouterr().err
