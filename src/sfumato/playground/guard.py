"""Who may talk to the server: this machine's own page, and with `--host` whoever holds the token.

A page of another site can make a browser send requests here (cross-site requests, sockets have no same-origin
rule), and with a name of its own that points to 127.0.0.1 it can even read the answers (DNS rebinding). So
Host and Origin are checked on every request, before any other code runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["POLICY", "Guard", "new_token"]

COOKIE = "sfumato"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content security policy of every answer: nothing inline, nothing from elsewhere, never in a frame."""

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=()"),
)


def new_token() -> str:
    """128 random bits as text for a URL."""
    return secrets.token_urlsafe(16)


class Guard:
    """ASGI middleware: Host, Origin and token first, and the security headers on every answer.

    hosts: names by which the server may be called, without port. token: required if not empty, as `?token=` of the
    first request; later ones carry it in a cookie that scripts cannot read.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str], token: str = "") -> None:
        self._app, self._hosts, self._token = app, frozenset(hosts), token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        reason = self._refusal(scope, headers)
        if reason and scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": reason})
            return
        if reason:
            await PlainTextResponse(reason + "\n", 403)(
                scope, receive, self._marked(scope, send, known=False)
            )
            return
        await self._app(scope, receive, self._marked(scope, send, known=True))

    def _refusal(self, scope: Scope, headers: Headers) -> str:
        """Why this request is refused; empty if it is not."""
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or _name(host) not in self._hosts:
            return "refused: this server does not answer to that Host"
        origin = headers.get("origin")
        safe = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if origin is None and not safe:
            return "refused: no Origin"
        if origin is not None and urlsplit(origin).netloc != host:
            return "refused: another site's page asks"
        if headers.get("sec-fetch-site") == "cross-site" and scope.get("path") != "/":
            return "refused: another site's page asks"
        if self._token and not self._knows(scope, headers):
            return "refused: the address lacks its token; use the whole one that was printed"
        return ""

    def _knows(self, scope: Scope, headers: Headers) -> bool:
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            cookie = None
        found = given or (cookie.value if cookie else "")
        return secrets.compare_digest(found.encode(), self._token.encode())

    def _marked(self, scope: Scope, send: Send, *, known: bool) -> Send:
        """Put the headers on an answer; only who knows the token gets it as a cookie."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [*message.get("headers", []), *HEADERS]
                if self._token and known and scope.get("path") == "/":
                    cookie = f"{COOKIE}={self._token}; HttpOnly; SameSite=Strict; Path=/"
                    own.append((b"set-cookie", cookie.encode()))
                message = {**message, "headers": own}
            await send(message)

        return sent


def _name(host: str) -> str:
    """The name of a Host header without its port, in small letters: `[::1]:8421` -> `::1`."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
