"""Who may talk to the server: right Host, no foreign Origin, and away from this machine the token."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from sfumato.playground.guard import Guard, new_token

HERE = "http://127.0.0.1:8421"


async def inside(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind the guard: it says that someone got through."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"inside"})


@dataclass
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]


class Client:
    """Calls the guarded application as a server would, one request a call; every header is as given."""

    def __init__(self, token: str = "") -> None:
        self._app = Guard(inside, ("127.0.0.1", "localhost", "::1"), token)

    def _call(self, scope: dict[str, Any], headers: Mapping[str, str]) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            told.append(message)

        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        asyncio.run(self._app({**scope, "headers": raw}, receive, send))
        return told

    def ask(self, target: str = "/", method: str = "GET", **headers: str) -> Answer:
        path, _, query = target.partition("?")
        scope = {"type": "http", "method": method, "path": path, "query_string": query.encode()}
        named = {
            name.replace("_", "-"): value for name, value in ({"host": "127.0.0.1:8421"} | headers).items()
        }
        told = self._call(scope, named)
        body = b"".join(message.get("body", b"") for message in told)
        return Answer(
            told[0]["status"], body.decode(), {k.decode(): v.decode() for k, v in told[0]["headers"]}
        )

    def heard(self, **headers: str) -> bool:
        """Whether a socket with these headers gets inside."""
        told = self._call({"type": "websocket", "path": "/socket", "query_string": b""}, headers)
        assert told[0]["type"] == "websocket.accept" or told[0]["code"] == 1008
        return bool(told[0]["type"] == "websocket.accept")


@pytest.mark.parametrize("host", ["127.0.0.1:8421", "localhost:8421", "LOCALHOST", "[::1]:8421"])
def test_this_machine_is_answered(host: str) -> None:
    client = Client()
    assert client.ask(host=host).text == "inside"
    assert client.heard(host=host, origin=f"http://{host}")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example:8421", "", "localhost.evil.example", "[", "0.0.0.0:8421"]
)
def test_another_name_is_refused_because_it_may_be_rebound(host: str) -> None:
    client = Client()
    answer = client.ask(host=host)
    assert answer.status == 403 and "inside" not in answer.text
    assert not client.heard(host=host, origin=f"http://{host}")


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:8421", "file://"]
)
def test_another_sites_page_is_refused(origin: str) -> None:
    client = Client()
    assert client.ask("/api", origin=origin).status == 403
    assert client.ask("/api", "POST", origin=origin).status == 403
    assert not client.heard(host="127.0.0.1:8421", origin=origin)


def test_what_changes_something_needs_an_origin() -> None:
    client = Client()
    assert client.ask("/api", "POST").status == 403
    assert not client.heard(host="127.0.0.1:8421")
    assert client.ask("/api", "POST", origin=HERE).text == "inside"


def test_a_foreign_page_may_link_here_but_not_fetch() -> None:
    client = Client()
    assert client.ask(sec_fetch_site="cross-site").text == "inside"
    assert client.ask("/api", sec_fetch_site="cross-site").status == 403


def test_every_answer_forbids_inline_scripts_and_frames() -> None:
    for answer in (Client().ask(), Client().ask(host="evil.example")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("wrong", ["", "?token=", "?token=wrong", "?token=%00", "?token=a&token=b"])
def test_without_the_token_nothing_is_said(wrong: str) -> None:
    client = Client(token=new_token())
    answer = client.ask("/" + wrong)
    assert answer.status == 403 and "set-cookie" not in answer.headers
    assert not client.heard(host="127.0.0.1:8421", origin=HERE)


def test_the_token_opens_and_a_cookie_remembers_it() -> None:
    token = new_token()
    client = Client(token=token)
    answer = client.ask(f"/?token={token}")
    assert answer.text == "inside"
    assert all(word in answer.headers["set-cookie"] for word in ("HttpOnly", "SameSite=Strict"))
    assert client.ask("/api", cookie=f"sfumato={token}").text == "inside"
    assert client.ask("/api").status == 403
    assert client.heard(host="127.0.0.1:8421", origin=HERE, cookie=f"sfumato={token}")


def test_tokens_are_long_and_never_twice_the_same() -> None:
    made_tokens = {new_token() for _ in range(200)}
    assert len(made_tokens) == 200 and all(len(token) >= 22 for token in made_tokens)
