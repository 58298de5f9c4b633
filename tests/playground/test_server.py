"""The server's own part: what goes wrong where nobody waits for an answer reaches the pages and the terminal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sfumato.errors import RunError
from sfumato.playground.hub import Client
from sfumato.playground.server import Playground, _bound

FULL = "cannot write disc.png: No space left on device\nhint: free some space"


class FullDisk:
    """A viewer that can write nothing: only the built-in picture needs no file."""

    async def ask(self, what: str, **arguments: Any) -> Any:
        if what == "titles":
            return [("mona-lisa", "Mona Lisa"), ("disc", "Disc"), ("noise", "Noise")]
        if arguments.get("name") == "mona-lisa":
            return {"width": 3, "height": 2}, b"png"
        raise RunError(FULL)


@pytest.fixture
def shelved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str | None], tuple[Playground, Client]]:
    def fill(picture: str | None) -> tuple[Playground, Client]:
        made = Playground(str(tmp_path), None, picture, paused=False)
        monkeypatch.setattr(made, "viewer", FullDisk())
        page = made.sitting.join()
        asyncio.run(made._shelve())
        made.shelf.close()
        return made, page

    return fill


def told(page: Client) -> list[str]:
    lines = [json.loads(line) for line in page._news]
    return [line["text"] for line in lines if line["event"] == "refused"]


def test_samples_that_cannot_be_written_are_missed_aloud_and_the_rest_is_there(
    shelved: Callable[[str | None], tuple[Playground, Client]], capsys: pytest.CaptureFixture[str]
) -> None:
    made, page = shelved(None)
    assert list(made.shelf.pictures) == ["mona-lisa"]
    assert told(page) == [FULL, FULL] and capsys.readouterr().err.count("No space left") == 2
    assert told(made.sitting.join()) == [FULL], "a page that comes later hears it too"
    made.sitting.start({}, "mona-lisa")
    assert told(made.sitting.join()) == [], "once training has begun it is no news"


@pytest.mark.parametrize("content", [None, b"no picture"])
def test_a_picture_of_the_command_line_that_fails_is_said(
    shelved: Callable[[str | None], tuple[Playground, Client]], tmp_path: Path, content: bytes | None
) -> None:
    """Gone since the command began, or not storable."""
    photo = tmp_path / "photo.png"
    if content is not None:
        photo.write_bytes(content)
    _, page = shelved(str(photo))
    assert len(told(page)) == 3


@pytest.mark.parametrize("port", [-1, 65536, 99999])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(RunError, match=rf"cannot listen on 127\.0\.0\.1:{port}: .*\nhint: "):
        _bound("127.0.0.1", port)


@pytest.mark.parametrize("host", ["300.1.1.1", "203.0.113.1"])
def test_an_address_that_is_not_here_is_refused_with_the_reason(host: str) -> None:
    """It was said that no port is free. 203.0.113.1: of the addresses for documentation (RFC 5737)."""
    with pytest.raises(RunError, match=rf"cannot listen on {host}: (?!no port).*\nhint: --host "):
        _bound(host, None)
