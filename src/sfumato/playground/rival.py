"""The run beside: a second training at the same time, on the same picture, in a process of its own.

What it paints, its neurons and how well it does go to the pages as news and pictures of their own names. It
pauses, steps and plays with the first one. Both take their pixels in the order that the seed gives, so with the
same seed and batch they see the same ones, step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .hub import Hub
from .moment import LAST, Moment

__all__ = ["ACTIVE", "Rival"]

ACTIVE = ("starting", "playing", "paused")
"""States of a run in which it takes commands."""


class Rival:
    """What is known of the run beside. send: gives its trainer a command, and starts that process if need be;
    settled: called when its state changes."""

    def __init__(
        self, hub: Hub, send: Callable[[Mapping[str, Any]], None], settled: Callable[[], None]
    ) -> None:
        self._hub, self._send, self._settled = hub, send, settled
        self.status = ""
        self.run: dict[str, Any] | None = None
        self.beats: list[dict[str, Any]] = []
        self.moment = Moment(lambda: self.tell({"type": "keep"}))
        self._on = self._ready = False
        self._begin: Callable[[], None] | None = None
        self._command: Mapping[str, Any] = {}

    @property
    def active(self) -> bool:
        """Whether it is being trained."""
        return self._on and self.status in ACTIVE

    def snapshot(self) -> dict[str, Any] | None:
        """What a page that comes later needs to know; None: there is no run beside."""
        return None if self.run is None else {"run": self.run, "beats": self.beats}

    def start(self, command: Mapping[str, Any], begin: Callable[[], None]) -> None:
        """Start by the trainer's command; `begin` is called with it, so that both runs start together."""
        self.end()
        self._on, self.status = True, "starting"
        self._command, self._begin = command, begin
        if self._ready:
            self._start()
        else:  # its process wakes up first
            self._hub.tell({"event": "note", "text": "B trains in a process of its own, which is waking up."})
            self._send({"type": "wake"})

    def _start(self) -> None:
        if self._begin is not None:
            self._send(self._command)
            self._begin()
        self._begin = None

    def tell(self, command: Mapping[str, Any]) -> None:
        """Pass a command on, if there is anyone to take it."""
        if self._on and self._ready:
            self._send(command)

    def end(self) -> None:
        """No run beside any more: it is stopped, and its directory stays."""
        if not self._on:
            return
        self.tell({"type": "stop"})
        self._begin = None
        self._on, self.status, self.run, self.beats = False, "", None, []
        self._hub.forget("rival")
        self._hub.tell({"event": "rival", "rival": None})

    def hear(self, message: tuple[Any, ...] | None) -> None:
        """Take a message of its trainer; None: it has died."""
        if message is None:
            self._ready = False
            self.moment.died()
            if self.active:
                self._fail("the training process of B has died\nhint: what it had saved is kept")
            return
        if message[0] == "picture":
            _, channel, header, data = message
            if self.run is not None and header["run"] == self.run["run"]:
                self._hub.show(f"rival {channel}", header, data)
            return
        self._event(message[1])

    def _event(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "awake":
            self._ready = True
            self._start()
        elif not self._on:
            return  # the last words of a run that nobody compares with any more
        elif kind == "run":
            self.run = {key: value for key, value in event.items() if key != "event"}
            self.beats = []
            self._hub.tell({"event": "rival", "rival": self.snapshot()})
        elif kind == "kept":
            self.moment.kept(event["step"])
        elif kind == "beat":
            self.beats.append(event["line"])
            self._hub.tell({"event": "rival beat", "line": event["line"]})
        elif kind == "status" and event["status"] == "failed":
            self._fail(f"B: {event.get('text', '')}")
        elif kind == "status":
            self.status = event["status"]
            if self.status not in ACTIVE:
                self.moment.kept(LAST)
            self._settled()

    def _fail(self, text: str) -> None:
        self.status = "failed"
        if self._begin is not None:  # the first run need not wait for this one any more
            self._begin()
        self._begin = None
        self._hub.tell({"event": "refused", "text": text})
        self._settled()
