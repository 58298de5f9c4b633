"""The playground: a page in the browser where one watches a network learn to paint, and takes it apart.

server   routes and the socket            guard     who may talk to it
sitting  what is going on, for all pages  messages  what a page may ask for
workers  the two processes                hub       pages, and what waits for each
trainer  -> stream -> governor, looks     viewer    -> looks, exports
page/    the built page; its source is page/ of the repository
"""

from __future__ import annotations

from pathlib import Path

from ..errors import MissingExtra, PictureError, RunError
from ..runs import RunDirectory, find

__all__ = ["open_playground"]


def open_playground(
    what: str | None = None,
    *,
    out: str = "runs",
    host: str = "127.0.0.1",
    port: int | None = None,
    open_browser: bool = True,
    paused: bool = False,
) -> None:
    """Serve the page until Ctrl-C; its address is printed.

    what: a picture's file, to learn at once (or, `paused`, when play is pressed); a run, to look at; None: choose
    there. out: folder of run directories. host: another than 127.0.0.1 needs the token that the address carries.
    port: None takes 8421, or the next free one. Raises MissingExtra without the extra `playground`, RunError or
    PictureError where `what` is neither, or the port is taken.
    """
    try:
        from .server import serve
    except ImportError as error:
        raise MissingExtra(
            f'the playground needs {error.name or "a web server"}\nhint: pip install "sfumato[playground]"'
        ) from error
    if not (Path(__file__).parent / "page" / "app.js").is_file():
        raise MissingExtra("the playground's page is not built here\nhint: make page (needs node 20)")
    run: RunDirectory | None = None
    picture: str | None = None
    if what is not None:
        if Path(what).is_file():
            picture = what
        else:
            try:
                run = find(what, out)
            except RunError as error:
                if Path(what).suffix:
                    raise PictureError(
                        f"{what!r} is neither a picture nor a run\nhint: sfumato runs lists runs"
                    ) from error
                raise
    serve(run, picture, out=out, host=host, port=port, open_browser=open_browser, paused=paused)
