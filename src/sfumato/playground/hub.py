"""Pages that are connected, and what each gets: all news, but of pictures only the latest, one on its way at
a time.

A page that draws slowly, or not at all, therefore costs nothing: its next picture waits here as one
reference, and is replaced when a newer one comes. A page that does not even read its news is let go; it comes
back by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Client", "Frame", "Hub"]

MOST_NEWS = 2000
"""Lines that may wait for one page: about seven minutes of a training in progress."""


@dataclass(frozen=True)
class Frame:
    """A picture on the wire: 4 bytes with the length of a JSON header (big-endian), the header, the picture.

    channel: what it replaces, such as `painting` or `walls`.
    """

    channel: str
    id: int
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, channel: str, number: int, header: Mapping[str, Any], picture: bytes) -> Frame:
        """Pack header and picture."""
        head = json.dumps({**header, "channel": channel, "id": number}).encode()
        return cls(channel, number, len(head).to_bytes(4, "big") + head + picture)


class Client:
    """One page: what it shows, what waits for it."""

    def __init__(self) -> None:
        self.visible = False
        self.layers: frozenset[int] = frozenset()
        self.beside: frozenset[int] = frozenset()
        self.lost = False
        self._news: deque[str] = deque()
        self._frames: dict[str, Frame] = {}
        self._sent: dict[int, str] = {}
        self._ready = asyncio.Event()

    def tell(self, line: str) -> None:
        """Queue a line of news."""
        if len(self._news) >= MOST_NEWS:
            self.lost = True
        else:
            self._news.append(line)
        self._ready.set()

    def show(self, frame: Frame) -> None:
        """Have this frame shown, unless a newer one of its channel replaces it before it can be sent."""
        self._frames[frame.channel] = frame
        self._ready.set()

    def drawn(self, number: int) -> None:
        """The page has drawn the frame of that id (unknown ids are ignored)."""
        self._sent.pop(number, None)
        self._ready.set()

    async def next(self) -> str | bytes | None:
        """What to send next; waits until there is something. None: the page is too slow and is let go."""
        while True:
            if self.lost:
                return None
            if self._news:
                return self._news.popleft()
            busy = set(self._sent.values())
            free = [frame for channel, frame in self._frames.items() if channel not in busy]
            if free:
                frame = min(free, key=lambda one: one.id)
                del self._frames[frame.channel]
                self._sent[frame.id] = frame.channel
                return frame.data
            self._ready.clear()
            await self._ready.wait()


class Hub:
    """All connected pages, and the newest frame of each channel for those that come later."""

    def __init__(self) -> None:
        self.clients: set[Client] = set()
        self._newest: dict[str, Frame] = {}
        self._numbers = itertools.count(1)

    def join(self) -> Client:
        """A new page; it gets the newest frames at once."""
        client = Client()
        for frame in self._newest.values():
            client.show(frame)
        self.clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """A page has gone; a second time is harmless."""
        self.clients.discard(client)

    def tell(self, event: Mapping[str, Any]) -> None:
        """News to all pages."""
        line = json.dumps(event)
        for client in self.clients:
            client.tell(line)

    def show(self, channel: str, header: Mapping[str, Any], picture: bytes) -> None:
        """A picture for all pages."""
        frame = Frame.of(channel, next(self._numbers), header, picture)
        self._newest[channel] = frame
        for client in self.clients:
            client.show(frame)

    def forget(self, kind: str = "") -> None:
        """The pictures of the last run (or of channels whose name begins so) are no longer shown to newcomers."""
        self._newest = {name: frame for name, frame in self._newest.items() if not name.startswith(kind)}

    def wanted(self) -> tuple[bool, list[int], list[int]]:
        """Whether any page is looking, and the hidden layers that are on some screen: of the run in training, and
        of the one beside."""
        looking = [client for client in self.clients if client.visible]
        layers = sorted(set().union(*(client.layers for client in looking)))
        return bool(looking), layers, sorted(set().union(*(client.beside for client in looking)))
