"""The server: a few routes and one socket around a sitting, bound to this machine.

GET  /                              the page
WS   /api/socket                    commands in, news and pictures out
POST /api/pictures?name=            bring a picture (its bytes are the body)
GET  /api/pictures/KEY              a picture that can be learned, as PNG
GET  /api/runs                      runs of the folder; /api/runs/NAME: one with its history
GET  /api/runs/NAME/...             target, frames, walls, neurons, paintings without neurons, exports
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from ..errors import PictureError, RunError, SfumatoError
from ..runs import RunDirectory
from ..runs.kept import nearest
from . import messages, trainer, viewer
from .guard import Guard, new_token
from .rival import ACTIVE
from .shelf import MOST_BYTES, Shelf, Shelved, picture_of, safe_name
from .sitting import Sitting, refusal
from .workers import Viewer, Worker

__all__ = ["PORT", "application", "serve"]

PORT = 8421
SAVING = 2.0
"""Seconds that a run in training has at the end for its step and its checkpoint."""

LOOPBACK = ("127.0.0.1", "localhost", "::1")

Handler = Callable[[Request], Awaitable[Response]]


class _Server(uvicorn.Server):
    """uvicorn, which says goodbye to its pages while the workers already end."""

    def __init__(self, config: uvicorn.Config, playground: Playground) -> None:
        super().__init__(config)
        self._playground = playground

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.gather(self._playground.end(), super().shutdown(sockets))


class Playground:
    """Sitting, trainers and viewer of one server. opening: a run to show first; picture: one to learn first."""

    def __init__(self, out: str, opening: RunDirectory | None, picture: str | None, paused: bool) -> None:
        self.shelf = Shelf(out, opening)
        self.opening = opening.name if opening else None
        self._picture, self._paused = picture, paused
        self._trainer = Worker(trainer.main, (out,), self._hear)
        self._beside = Worker(trainer.main, (out,), self._hear_beside)
        self.viewer = Viewer(viewer.main, (str(self.shelf.folder),))
        self._ending: asyncio.Task[None] | None = None
        self.sitting = Sitting(self.shelf, self._trainer.send, self._send_beside)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Start the workers; end them with the server."""
        self._trainer.start()
        self.viewer.start()
        shelving = asyncio.create_task(self._shelve())
        try:
            yield
        finally:
            shelving.cancel()
            await self.end()

    async def end(self) -> None:
        """End the workers, whichever is in training saving what it has; a second call waits for the first."""
        self._ending = self._ending or asyncio.create_task(self._end())
        await self._ending

    async def _end(self) -> None:
        self.viewer.stop()
        first = SAVING if self.sitting.status in ACTIVE else 0
        second = SAVING if self.sitting.rival.active else 0
        await asyncio.gather(
            asyncio.to_thread(self._trainer.stop, first), asyncio.to_thread(self._beside.stop, second)
        )
        self.shelf.close()

    def _hear(self, message: tuple[Any, ...] | None) -> None:
        self.sitting.hear(message)
        if message is None:
            self._trainer.restart()

    def _send_beside(self, command: Mapping[str, Any]) -> None:
        """The trainer of the run beside takes 300 MB: it starts when it is first spoken to."""
        if not self._beside.alive:
            self._beside.start()
        self._beside.send(command)

    def _hear_beside(self, message: tuple[Any, ...] | None) -> None:
        self.sitting.rival.hear(message)

    async def _shelve(self) -> None:
        """Fill the shelf of pictures; start with the one named on the command line. What fails is told."""
        with self._told():
            for key, title in await self.viewer.ask("titles"):
                with self._told():
                    await self._offer(key, title)
        if self._picture is not None:
            with self._told():
                content = await asyncio.to_thread(Path(self._picture).read_bytes)
                shelved, _ = await self.receive(content, Path(self._picture).name)
                self.sitting.start({}, shelved.key, paused=self._paused)

    async def _offer(self, key: str, title: str) -> None:
        path = self.shelf.folder / f"{key}.png"
        facts, png = await self.viewer.ask("sample", name=key, path=str(path))
        source = None if key == "mona-lisa" else str(path)
        self.shelf.shelve(Shelved(key, title, source, key, png, facts["width"], facts["height"]))
        self.sitting.tell_pictures()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """An error in what nobody waits for goes to the terminal and to every page, also those that come later."""
        try:
            yield
        except (SfumatoError, OSError) as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            self.sitting.complain(str(error))

    async def receive(self, content: bytes, name: str) -> tuple[Shelved, list[str]]:
        """Take a picture in; raises PictureError for what is none."""
        key, path = self.shelf.store(content)
        try:
            facts, png = await self.viewer.ask("picture", path=str(path), name=name)
        except SfumatoError:
            path.unlink(missing_ok=True)
            raise
        title = safe_name(name)
        shelved = Shelved(key, title, str(path), title, png, facts["width"], facts["height"])
        self.shelf.shelve(shelved)
        self.sitting.tell_pictures()
        return shelved, facts["notes"]

    # The socket -------------------------------------------------------------------------------------------------

    async def socket(self, connection: WebSocket) -> None:
        """One page: what it sends and what it gets, each in a task; when one ends, so does the other."""
        await connection.accept()
        client = self.sitting.join()

        async def hear() -> None:
            while True:
                message = await connection.receive()
                if message["type"] == "websocket.disconnect":
                    return
                try:
                    self.sitting.obey(
                        client, messages.parse(message.get("text") or message.get("bytes") or b"")
                    )
                except SfumatoError as error:
                    client.tell(json.dumps(refusal(error)))

        async def speak() -> None:
            while (line := await client.next()) is not None:
                await (connection.send_text(line) if isinstance(line, str) else connection.send_bytes(line))

        tasks = [asyncio.create_task(hear()), asyncio.create_task(speak())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.sitting.leave(client)
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                lost = (asyncio.CancelledError, WebSocketDisconnect, RuntimeError, OSError)
                if isinstance(outcome, BaseException) and not isinstance(outcome, lost):
                    raise outcome
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):  # the page has closed it already
                await connection.close()

    # Pictures ---------------------------------------------------------------------------------------------------

    async def upload(self, request: Request) -> Response:
        """Bring a picture: the bytes are read up to MOST_BYTES and decoded in the viewer."""
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > MOST_BYTES:
                raise PictureError(
                    f"picture refused: larger than {MOST_BYTES >> 20} MB\nhint: make it smaller first"
                )
        if not content:
            raise PictureError("picture refused: the file is empty")
        name = request.query_params.get("name", "picture")[:200]
        shelved, notes = await self.receive(bytes(content), name)
        facts = {"key": shelved.key, "title": shelved.title, "width": shelved.width, "height": shelved.height}
        return _json({**facts, "notes": notes})

    async def picture(self, request: Request) -> Response:
        """A picture that can be learned, as PNG."""
        return Response(self.shelf.picture(request.path_params["key"]).preview, media_type="image/png")

    # Runs -------------------------------------------------------------------------------------------------------

    async def runs(self, request: Request) -> Response:
        """All runs of pictures, newest first, with what a list shows; then the damaged ones, with why."""
        listed = await asyncio.to_thread(_rows, self.shelf)
        return _json({"runs": listed})

    async def run(self, request: Request) -> Response:
        """One run: facts, history, steps of its frames and of its kept weights."""
        run = self._run(request)
        story = await self.viewer.ask("story", folder=str(run.folder))
        picture = self.shelf.learned(run)
        self.sitting.tell_pictures()
        return _json({**story, "picture": picture})

    async def target(self, request: Request) -> Response:
        """What was to be learned."""
        return await _picture(self._run(request), "target.png")

    async def frame(self, request: Request) -> Response:
        """The painting at the beat nearest to a step, as it was kept."""
        run = self._run(request)
        steps = dict(run.frames())
        if not steps:
            raise RunError("this run holds no frames yet")
        return await _picture(run, f"frames/{nearest(steps, request.path_params['step']):06d}.jpg")

    async def wall(self, request: Request) -> Response:
        """A wall of neurons."""
        together = _number(request, "together", 300, 1 << 20)
        return await self._look(request, "wall", layer=request.path_params["layer"], together=together)

    async def neuron(self, request: Request) -> Response:
        """A neuron at full size."""
        layer, index = request.path_params["layer"], request.path_params["index"]
        return await self._look(request, "neuron", layer=layer, index=index)

    async def without(self, request: Request) -> Response:
        """The painting without some neurons, `2:117,3:5`."""
        text = request.query_params.get("neurons", "")
        try:
            removed = [tuple(int(part) for part in pair.split(":")) for pair in text.split(",")]
        except ValueError:
            removed = []
        if not 1 <= len(removed) <= 2000 or any(len(pair) != 2 for pair in removed):
            raise HTTPException(400, "neurons=2:117,3:5 is expected")
        return await self._look(request, "without", removed=removed)

    async def order(self, request: Request) -> Response:
        """Neurons of a layer in an order that needs a look at the net."""
        by = request.query_params.get("by", "importance")
        if by not in ("importance", "similarity"):
            raise HTTPException(400, "by=importance or by=similarity is expected")
        return await self._look(request, "order", layer=request.path_params["layer"], by=by)

    async def still(self, request: Request) -> Response:
        """The painting at a kept step, lossless."""
        return await self._look(request, "still")

    async def export(self, request: Request) -> Response:
        """A file of the run."""
        run, file = self._run(request), request.path_params["file"]
        size = request.query_params.get("size")
        if file not in (*viewer.EXPORTS, "page.html", "run.zip") or (size and len(size) > 20):
            raise HTTPException(404, "this cannot be exported")
        step = _number(request, "step", -1, 1 << 40)
        await self.sitting.kept(run.name, -1) if step < 0 else None
        chosen = None if step < 0 else step
        content = await self.viewer.ask("export", folder=str(run.folder), file=file, size=size, step=chosen)
        name = f"{safe_name(run.name)}-{file}"
        return Response(content, headers={"content-disposition": f'attachment; filename="{name}"'})

    async def _look(self, request: Request, what: str, **arguments: Any) -> Response:
        run = self._run(request)
        step = await self.sitting.kept(run.name, _number(request, "step", -1, 1 << 40))
        header, picture = await self.viewer.ask(what, folder=str(run.folder), step=step, **arguments)
        head = json.dumps(header).encode()
        return Response(len(head).to_bytes(4, "big") + head + picture, media_type="application/octet-stream")

    def _run(self, request: Request) -> RunDirectory:
        return self.shelf.run(request.path_params["run"])


def _rows(shelf: Shelf) -> list[dict[str, Any]]:
    sound, damaged = [], dict(shelf.damaged())
    for run in reversed(shelf.runs(fresh=True).values()):
        state, last, why = run.look()
        if why:
            damaged[run.name] = why
        elif run.recipe.task == "picture":
            sound.append(_row(run, state, last))
    return [*sound, *({"run": name, "state": "damaged", "why": why} for name, why in damaged.items())]


def _row(run: RunDirectory, state: str, last: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "run": run.name,
        "state": state,
        "psnr": last.get("psnr"),
        "epoch": last.get("epoch"),
        "step": last.get("step"),
        "seconds": last.get("seconds"),
        "started": run.origin.get("started"),
    }


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.lstrip("-").isdigit() or len(text) > 16 or int(text) > most:
        raise HTTPException(400, f"{name} must be a whole number")
    return int(text)


async def _picture(run: RunDirectory, name: str) -> Response:
    content, _, _ = await asyncio.to_thread(picture_of, run, name)
    return Response(content, media_type="image/png" if name.endswith(".png") else "image/jpeg")


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    """JSON in ASCII: a name of a stranger's folder, or a text in it, may hold what UTF-8 cannot encode."""
    return Response(json.dumps(body, allow_nan=False), status, media_type="application/json")


# The application -----------------------------------------------------------------------------------------------


def _page(name: str, kind: str) -> Handler:
    async def answer(request: Request) -> Response:
        content = files("sfumato.playground").joinpath("page", name).read_bytes()
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})

    return answer


async def _failed(request: Request, error: Exception) -> Response:
    status = 422 if isinstance(error, PictureError) else 404 if isinstance(error, RunError) else 400
    return _json({"error": str(error)}, status)


def application(playground: Playground, hosts: tuple[str, ...] = LOOPBACK, token: str = "") -> Guard:
    """The ASGI application, guarded."""
    p = playground
    base = "/api/runs/{run}"
    routes = [
        Route("/", _page("index.html", "text/html")),
        Route("/app.js", _page("app.js", "text/javascript")),
        Route("/app.css", _page("app.css", "text/css")),
        WebSocketRoute("/api/socket", p.socket),
        Route("/api/pictures", p.upload, methods=["POST"]),
        Route("/api/pictures/{key}", p.picture),
        Route("/api/runs", p.runs),
        Route(base, p.run),
        Route(base + "/target", p.target),
        Route(base + "/frames/{step:int}", p.frame),
        Route(base + "/still", p.still),
        Route(base + "/walls/{layer:int}", p.wall),
        Route(base + "/orders/{layer:int}", p.order),
        Route(base + "/neurons/{layer:int}/{index:int}", p.neuron),
        Route(base + "/without", p.without),
        Route(base + "/export/{file}", p.export),
    ]
    handlers: dict[Any, Any] = {SfumatoError: _failed}
    app = Starlette(routes=routes, lifespan=p.lifespan, exception_handlers=handlers)
    return Guard(app, hosts, token)


def serve(
    opening: RunDirectory | None = None,
    picture: str | None = None,
    *,
    out: str = "runs",
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    paused: bool = False,
) -> None:
    """Serve until Ctrl-C. port: None takes 8421 or the next free one. Raises RunError if the port is taken."""
    listening = _bound(host, port)
    number = listening.getsockname()[1]
    away = host not in LOOPBACK
    token = new_token() if away else ""
    name = host if host not in ("0.0.0.0", "::") else socket.gethostname()
    hosts = (*LOOPBACK, *({host.lower(), name.lower(), *_addresses()} if away else ()))
    playground = Playground(out, opening, picture, paused)
    fragment = f"#run={opening.name}" if opening else ""
    url = f"http://{f'[{name}]' if ':' in name else name}:{number}/" + (f"?token={token}" if token else "")
    config = uvicorn.Config(
        application(playground, hosts, token),
        log_level="warning",
        ws="websockets-sansio",
        ws_max_size=messages.MOST_BYTES,
        ws_per_message_deflate=False,  # the pictures are compressed already; deflating took ten times as long
        timeout_graceful_shutdown=1,
        lifespan="on",
        server_header=False,
    )
    print(url + fragment, flush=True)
    if away:
        print(
            "note: the address carries its token and is not encrypted; safer: the line below", file=sys.stderr
        )
    print(f"from elsewhere: ssh -L {number}:127.0.0.1:{number} {socket.gethostname()}", file=sys.stderr)
    print("Ctrl-C ends it; what was trained stays in " + out, file=sys.stderr)
    if open_browser:
        webbrowser.open(url + fragment)
    _Server(config, playground).run(sockets=[listening])


def _bound(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in [port] if port is not None else [*range(PORT, PORT + 20), 0]:
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((host, number))
            made.listen(128)
        except (OSError, OverflowError) as error:  # a number that is no port
            made.close()
            reason = getattr(error, "strerror", None) or str(error)
            if port is not None:
                raise RunError(
                    f"cannot listen on {host}:{number}: {reason}\nhint: --port 0 takes a free one"
                ) from error
            continue
        return made
    raise RunError(
        f"cannot listen on {host}: {reason}\nhint: --host 127.0.0.1, or another address of this machine"
    )


def _addresses() -> set[str]:
    """This machine's own addresses, by which `--host 0.0.0.0` may be called."""
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return set()
