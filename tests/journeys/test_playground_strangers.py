"""What no browser of ours would send to the playground: foreign pages, wrong names, nonsense, too much at once."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import random
import time
from pathlib import Path

import pytest
from PIL import Image
from playground_server import PATIENCE, Server, png
from playwright.sync_api import Browser, expect

expect.set_options(timeout=PATIENCE)


def asked(
    server: Server, target: str, method: str = "GET", body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.port), timeout=PATIENCE / 1000)
    connection.putrequest(method, target, skip_host=True)
    own = {"host": f"127.0.0.1:{server.port}", "origin": f"http://127.0.0.1:{server.port}"} | headers
    for name, value in own.items():
        if value:
            connection.putheader(name, value)
    if body or method == "POST":
        connection.putheader("content-length", str(len(body)))
    connection.endheaders()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before the end
        connection.send(body)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


@pytest.mark.parametrize(
    "target",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/app.js/../../../pyproject.toml",
        "/api/runs/..",
        "/api/runs/%2e%2e%2f%2e%2e%2fetc",
        "/api/runs/../../etc/passwd",
        "/api/runs/%2Fetc/target",
        "/api/pictures/..%2f..%2fetc%2fpasswd",
        "/api/pictures/%00",
        "/api/runs/x/export/..%2forigin.json",
        "/api/runs/x/frames/-1",
        "/api/runs/x/frames/99999999999999999999999",
        "/api/runs/x/walls/1?step=1e9",
        "/api/runs/x/without?neurons=1:2:3",
    ],
)
def test_no_path_of_a_page_reaches_the_files(server: Server, target: str) -> None:
    status, content = asked(server, target)
    assert status in (400, 404, 422) and b"root:" not in content and b"Traceback" not in content


def test_uploads_are_limited_in_bytes_and_pixels(server: Server) -> None:
    status, content = asked(server, "/api/pictures?name=big", "POST", b"x" * (100 << 20))
    assert status == 422 and b"larger than" in content
    bomb = io.BytesIO()
    Image.new("1", (40_000, 40_000)).save(
        bomb, "PNG"
    )  # 1.6 thousand million pixels in a few hundred kilobytes
    status, content = asked(server, "/api/pictures?name=bomb.png", "POST", bomb.getvalue())
    assert status == 422 and b"too large" in content
    assert asked(server, "/", "GET")[0] == 200


def test_foreign_pages_and_names_are_refused(server: Server) -> None:
    assert asked(server, "/", host="evil.example")[0] == 403
    assert asked(server, "/api/runs", origin="http://evil.example")[0] == 403
    assert asked(server, "/api/pictures", "POST", png(), origin="")[0] == 403
    assert asked(server, "/api/pictures", "PUT", png())[0] == 405


def test_the_socket_refuses_strangers_and_survives_nonsense(server: Server) -> None:
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect

    url, origin = server.url.replace("http", "ws") + "api/socket", server.url.rstrip("/")
    for stranger in ("http://evil.example", "null", None):
        with pytest.raises(InvalidStatus), connect(url, origin=stranger):  # type: ignore[arg-type]
            pass
    with connect(url, origin=origin) as socket:  # type: ignore[arg-type]
        assert json.loads(socket.recv())["event"] == "all"
        for nonsense in (
            "{",
            b"\xff\xfe",
            "[" * 5000,
            '{"type": "resume", "run": "../../etc"}',
            '{"type": "ack"}',
        ):
            socket.send(nonsense)
            while True:
                said = socket.recv()
                if isinstance(said, str) and json.loads(said)["event"] == "refused":
                    break
        socket.send("x" * 70_000)
        with pytest.raises(Exception, match=r"1009|too big"):
            while True:
                socket.recv()
    with connect(url, origin=origin) as socket:  # type: ignore[arg-type]
        assert json.loads(socket.recv())["event"] == "all"


def test_twelve_megabytes_of_nonsense_are_answered_and_forgotten(server: Server) -> None:
    """Random bytes, and known types with wrong fields: each is refused, and nothing stays behind."""
    from websockets.sync.client import connect

    url, origin = server.url.replace("http", "ws") + "api/socket", server.url.rstrip("/")
    numbers = random.Random(0)
    kinds = ["start", "fork", "race", "resume", "step", "watch", "ack", "speed", "__class__"]
    before = resident(server)
    with connect(url, origin=origin, max_size=None) as socket:  # type: ignore[arg-type]
        for turn in range(200):
            junk = numbers.randbytes(60_000)
            nonsense = {"type": numbers.choice(kinds), "run": "../" * 9000, "recipe": {"net": "9" * 30_000}}
            socket.send(junk if turn % 2 else json.dumps(nonsense))
            while True:
                said = socket.recv(PATIENCE / 1000)
                if isinstance(said, str) and json.loads(said)["event"] == "refused":
                    assert len(said) < 300, "what was sent is not sent back"
                    break
    assert asked(server, "/")[0] == 200
    assert resident(server) < before + 60, "megabytes"


def resident(server: Server) -> int:
    """Megabytes of memory that the server holds."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096 >> 20


def test_other_machines_need_the_token_and_the_page_hides_it(browser: Browser, tmp_path: Path) -> None:
    """127.0.0.2 stands for another address of this machine: all of 127 is."""
    server = Server(tmp_path, "--port", "0", "--host", "127.0.0.2")
    bare = server.url.partition("?")[0]
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    for wrong in ("", "?token=", "?token=wrong", server.url.partition("/?")[2][:-1]):
        answer = opened.goto(f"{bare}{wrong and '?' + wrong.lstrip('?')}")
        assert answer and answer.status == 403
    assert context.request.get(bare + "api/runs").status == 403
    opened.goto(server.url)
    expect(opened.get_by_label("Layers")).to_be_visible()
    assert opened.url == bare, "a link that is copied from here gives nothing away"
    opened.reload()
    expect(opened.get_by_label("Layers")).to_be_visible()
    context.close()
    server.stop()


def test_a_hundred_pages_that_vanish_leave_nothing(server: Server) -> None:
    from websockets.sync.client import connect

    url, origin = server.url.replace("http", "ws") + "api/socket", server.url.rstrip("/")
    assert "libtorch" not in Path(f"/proc/{server.process.pid}/maps").read_text(), (
        "workers have it, not the server"
    )
    threads = len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))
    for number in range(100):
        with connect(url, origin=origin) as socket:  # type: ignore[arg-type]
            if number % 2:
                socket.socket.shutdown(2)  # no goodbye
    end = time.monotonic() + 20
    while len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) > 60:
        assert time.monotonic() < end, "sockets stay open"
        time.sleep(0.1)
    assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) <= threads + 8
    assert asked(server, "/")[0] == 200
