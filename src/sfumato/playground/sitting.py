"""One sitting at the playground: what is being trained now, what was said of it, and who is told.

All pages see the same sitting. It knows the trainer as something that takes commands and sends messages, and the
pages as a hub; nothing here is about HTTP, so a test drives it with a trainer of its own.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import RecipeError, SfumatoError
from ..learning.symptoms import findings
from ..recipe import Recipe
from ..runs import RunDirectory
from .hub import Client, Hub
from .moment import LAST, Moment
from .rival import ACTIVE, Rival
from .shelf import Shelf

__all__ = ["Sitting"]

MOST_POINTS = 3000
"""Points of the live curve kept for pages that come later; beyond, every second one goes."""

DIAGNOSIS_SECONDS = 1.0
"""How often the numbers are looked through for what goes wrong: 10 ms of this process for 3,000 points."""


class Sitting:
    """The state of the playground. send: gives the trainer a command; send_rival: gives the one of the run beside
    a command."""

    def __init__(
        self,
        shelf: Shelf,
        send: Callable[[Mapping[str, Any]], None],
        send_rival: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self.hub = Hub()
        self._shelf, self._send = shelf, send
        self.rival = Rival(self.hub, send_rival, self._settle)
        self.menus: dict[str, Any] | None = None
        self.status = "waking"
        self.text = ""
        self.speed = 5
        self.run: dict[str, Any] | None = None
        self.picture = "mona-lisa"
        self.curve: list[dict[str, Any]] = []
        self.scores: list[dict[str, Any]] = []
        self.beats: list[dict[str, Any]] = []
        self.flat: list[float] = []
        self._rectifier = self._plain = True
        self._diagnosed = -math.inf
        self.findings: list[dict[str, str]] = []
        self._moment = Moment(lambda: self._send({"type": "keep"}))
        self._wanted: tuple[bool, list[int], list[int]] = (False, [], [])
        self._waiting: dict[str, Any] | None = None
        self._complaint = ""

    # Pages ------------------------------------------------------------------------------------------------------

    def join(self) -> Client:
        """A page has come: it is told everything so far."""
        client = self.hub.join()
        client.tell(json.dumps({"event": "all", **self.snapshot()}))
        if self._complaint:
            client.tell(json.dumps({"event": "refused", "text": self._complaint}))
        return client

    def complain(self, text: str) -> None:
        """Something went wrong that no page had asked for: all are told, those that come later too."""
        self._complaint = text
        self.hub.tell({"event": "refused", "text": text})

    def leave(self, client: Client) -> None:
        """A page has gone."""
        self.hub.leave(client)
        self._tell_wants()

    def pictures(self) -> list[dict[str, Any]]:
        """What can be learned."""
        return [
            {"key": one.key, "title": one.title, "width": one.width, "height": one.height}
            for one in self._shelf.pictures.values()
        ]

    def tell_pictures(self) -> None:
        """There is another picture to learn."""
        self.hub.tell({"event": "pictures", "pictures": self.pictures()})

    def _learn(self, picture: str) -> None:
        self.picture = picture
        self.tell_pictures()

    def snapshot(self) -> dict[str, Any]:
        """All that a page needs to know when it comes."""
        return {
            "menus": self.menus,
            "pictures": self.pictures(),
            "picture": self.picture,
            "status": self.shown,
            "text": self.text,
            "speed": self.speed,
            "run": self.run,
            "curve": self.curve,
            "scores": self.scores,
            "beats": self.beats,
            "flat": self.flat,
            "findings": self.findings,
            "rival": self.rival.snapshot(),
        }

    def obey(self, client: Client, command: dict[str, Any]) -> None:
        """Do what a page asks for in a checked message; raises SfumatoError where it cannot be done."""
        kind = command["type"]
        if kind == "ack":
            client.drawn(command["id"])
        elif kind == "watch":
            client.visible = command["visible"]
            client.layers, client.beside = frozenset(command["layers"]), frozenset(command["beside"])
            self._tell_wants()
        elif kind == "speed":
            self.speed = command["level"]
            self._send(command)
            self.rival.tell(command)
            self.hub.tell({"event": "speed", "level": self.speed})
        elif kind == "start":
            self.start(command["recipe"], command["picture"])
        elif kind == "fork":
            run = self._shelf.run(command["run"])
            self._learn(self._shelf.learned(run))
            self._begin(
                {
                    "type": "fork",
                    "folder": str(run.folder),
                    "step": command["step"],
                    "changes": command["changes"],
                }
            )
        elif kind == "resume":
            run = self._shelf.run(command["run"])
            self._learn(self._shelf.learned(run))
            self._begin({"type": "resume", "folder": str(run.folder)})
        elif kind == "race":
            self.race(self._shelf.run(command["run"]), command["recipe"])
        elif kind == "alone":
            self.rival.end()
            self._settle()
        elif self.status not in ACTIVE and not self.rival.active:
            raise RecipeError(f"nothing is being trained, so there is nothing to {kind}")
        else:
            if self.status in ACTIVE:
                self._send(command)
            self.rival.tell(command)

    def start(self, recipe: Mapping[str, Any], picture: str, *, paused: bool = False) -> None:
        """Have a new run started."""
        command = self._command(recipe, picture)
        self.picture = picture
        self._begin(command, paused=paused)

    def race(self, run: RunDirectory, recipe: Mapping[str, Any]) -> None:
        """Start a run anew, and beside it one by another recipe, both from their first step."""
        self._learn(self._shelf.learned(run))
        first, second = self._command(run.recipe, self.picture), self._command(recipe, self.picture)
        self._set("starting")

        def begin() -> None:
            self._send({**first, "paused": False})
            self.rival.tell({"type": "speed", "level": self.speed})
            self.rival.tell({"type": "wants", "looking": self._wanted[0], "layers": self._wanted[2]})

        self.rival.start({**second, "paused": False}, begin)

    def _command(self, recipe: Mapping[str, Any] | Recipe, picture: str) -> dict[str, Any]:
        """What has the trainer start a run; PictureError where the picture is not known."""
        chosen = self._shelf.picture(picture)
        return {
            "type": "start",
            "recipe": recipe if isinstance(recipe, Recipe) else dict(recipe),
            "source": chosen.source,
            "name": chosen.name,
            "pixels": chosen.width * chosen.height,
            "aspect": chosen.height / chosen.width,
        }

    def _begin(self, command: dict[str, Any], *, paused: bool = False) -> None:
        self.rival.end()
        self._complaint = ""
        self._set("starting")
        self._send({**command, "paused": paused})

    def _tell_wants(self) -> None:
        wanted = self.hub.wanted()
        if wanted != self._wanted:
            self._wanted = wanted
            self._send({"type": "wants", "looking": wanted[0], "layers": wanted[1]})
            self.rival.tell({"type": "wants", "looking": wanted[0], "layers": wanted[2]})

    async def kept(self, name: str, step: int) -> int:
        """The step to look at closely: of a run in training the present one, whose weights are then kept."""
        self._complaint = ""
        if step >= 0:
            return step
        if self.run is not None and self.run["run"] == name and self.status in ACTIVE:
            return await self._moment.step()
        if self.rival.run is not None and self.rival.run["run"] == name and self.rival.active:
            return await self.rival.moment.step()
        return LAST

    # The trainer ------------------------------------------------------------------------------------------------

    def hear(self, message: tuple[Any, ...] | None) -> None:
        """Take a message of the trainer; None: it has died."""
        if message is None:
            self._died()
        elif message[0] == "picture":
            _, channel, header, data = message
            self.hub.show(channel, header, data)
        else:
            self._event(message[1])

    def _event(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "menus":
            self.menus = event
            self.hub.tell(event)
            if self.status == "waking":
                self._set("idle")
        elif kind == "awake":
            pass  # it takes commands before, and only answers them later
        elif kind == "run":
            self._shelf.runs(fresh=True)
            self.run = {key: value for key, value in event.items() if key != "event"}
            self.curve, self.scores, self.beats, self.flat, self.findings = [], [], [], [], []
            if self.run["last"]:
                self.beats = self._shelf.run(self.run["run"]).history
            self.hub.forget()
            self.hub.tell({"event": "run", "run": self.run, "beats": self.beats, "picture": self.picture})
        elif kind == "status":
            self._set(event["status"], event.get("text", ""))
        elif kind == "kept":
            self._moment.kept(event["step"])
        else:
            self._remember(kind, event)
            self.hub.tell(event)
            if time.monotonic() > self._diagnosed + DIAGNOSIS_SECONDS:
                self._diagnose()

    def _remember(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "pulse":
            self.curve.append(event)
            if len(self.curve) > MOST_POINTS:
                del self.curve[:-1:2]
        elif kind == "score":
            self.scores.append(event)
            if len(self.scores) > MOST_POINTS:
                del self.scores[:-1:2]
        elif kind == "beat":
            self.beats.append(event["line"])
        elif kind == "flat":
            self.flat, self._rectifier, self._plain = event["shares"], event["rectifier"], event["plain"]

    def _diagnose(self) -> None:
        """Tell the pages when what is to be said of the run has changed."""
        if self.run is None:
            return
        self._diagnosed = time.monotonic()
        losses = [(one["step"], one["loss"]) for one in self.curve if one["loss"] is not None]
        scores = [(one["step"], one["psnr"]) for one in self.scores if one.get("psnr") is not None]
        found = findings(
            self.run["recipe"],
            losses,
            scores,
            flat=self.flat,
            rectifier=self._rectifier,
            plain=self._plain,
            total_steps=self.run["total_steps"],
            failed=self.text,
        )
        told = [{"kind": one.kind, "text": one.text, "advice": one.advice} for one in found]
        if told != self.findings:
            self.findings = told
            self.hub.tell({"event": "findings", "findings": told})

    @property
    def shown(self) -> str:
        """The state that pages show: of the run in training, or of the one beside where that alone goes on."""
        return self.rival.status if self.rival.active and self.status not in ACTIVE else self.status

    def _set(self, status: str, text: str = "") -> None:
        self.status, self.text = status, text
        if status not in ACTIVE:  # the end of a run is kept anyway, and its trainer has stopped listening
            self._moment.kept(LAST)
        self._settle()
        if status not in ACTIVE:
            self._diagnose()

    def _settle(self) -> None:
        self.hub.tell({"event": "status", "status": self.shown, "text": self.text})

    def _died(self) -> None:
        self._moment.died()
        if self.menus is None:
            self._set("failed", "the training process cannot start\nhint: sfumato doctor")
        elif self.status in ACTIVE:
            hint = "hint: what it had saved is kept; resume the run, or start a new one"
            self._set("failed", f"the training process has died\n{hint}")
        self._wanted = (False, [], [])


def refusal(error: SfumatoError) -> dict[str, Any]:
    """An error as news for one page."""
    return {"event": "refused", "text": str(error)}
