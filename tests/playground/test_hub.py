"""What each page gets: all news, of pictures the latest only, one on its way at a time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest

from sfumato.playground.hub import MOST_NEWS, Client, Frame, Hub

LOOP: list[asyncio.Runner] = []
"""One event loop for a test: what waits in it is bound to it."""


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    with asyncio.Runner() as runner:
        LOOP[:] = [runner]
        yield


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return LOOP[0].run(coroutine)


def sent(client: Client, count: int) -> list[str | bytes | None]:
    """The next `count` things for a page; fails where fewer are ready."""

    async def take() -> list[str | bytes | None]:
        return [await asyncio.wait_for(client.next(), 0.5) for _ in range(count)]

    return run(take())


def waits(client: Client) -> bool:
    async def take() -> bool:
        try:
            await asyncio.wait_for(client.next(), 0.05)
        except TimeoutError:
            return True
        return False

    return run(take())


def header(data: str | bytes | None) -> dict[str, object]:
    assert isinstance(data, bytes)
    length = int.from_bytes(data[:4], "big")
    return dict(json.loads(data[4 : 4 + length]))


def test_a_frame_is_header_and_picture() -> None:
    frame = Frame.of("walls", 9, {"step": 5}, b"\xff\xd8picture")
    assert header(frame.data) == {"step": 5, "channel": "walls", "id": 9}
    assert frame.data.endswith(b"\xff\xd8picture")


def test_of_pictures_only_the_latest_is_sent_and_one_at_a_time() -> None:
    hub = Hub()
    page = hub.join()
    hub.show("painting", {"step": 1}, b"a")
    (first,) = sent(page, 1)
    for step in (2, 3, 4):
        hub.show("painting", {"step": step}, b"b")
    assert waits(page), "the first one has not been drawn yet"
    page.drawn(int(str(header(first)["id"])))
    assert [header(one)["step"] for one in sent(page, 1)] == [4]
    assert waits(page)


def test_channels_do_not_wait_for_one_another_and_news_come_first() -> None:
    hub = Hub()
    page = hub.join()
    hub.show("painting", {}, b"")
    hub.show("walls", {}, b"")
    hub.tell({"event": "pulse"})
    news, one, two = sent(page, 3)
    assert news == '{"event": "pulse"}'
    assert [header(one)["channel"], header(two)["channel"]] == ["painting", "walls"]


def test_an_unknown_acknowledgement_changes_nothing() -> None:
    hub = Hub()
    page = hub.join()
    hub.show("painting", {}, b"")
    sent(page, 1)
    page.drawn(10**9)
    hub.show("painting", {}, b"")
    assert waits(page)


def test_who_comes_later_gets_the_newest_pictures() -> None:
    hub = Hub()
    hub.show("painting", {"step": 1}, b"")
    hub.show("painting", {"step": 2}, b"")
    assert header(sent(hub.join(), 1)[0])["step"] == 2
    hub.show("rival painting", {"step": 3}, b"")
    hub.show("rival walls", {"step": 3}, b"")
    hub.forget("rival")
    assert header(sent(hub.join(), 1)[0])["step"] == 2
    hub.forget()
    assert waits(hub.join())


def test_a_page_that_reads_nothing_is_let_go_and_the_others_stay() -> None:
    hub = Hub()
    deaf, good = hub.join(), hub.join()
    for number in range(MOST_NEWS + 1):
        hub.tell({"n": number})
        sent(good, 1)
    assert sent(deaf, 1) == [None]
    hub.tell({"n": -1})
    assert sent(good, 1) == ['{"n": -1}']


def test_leaving_twice_is_harmless() -> None:
    hub = Hub()
    page = hub.join()
    hub.leave(page)
    hub.leave(page)
    assert not hub.clients


def test_only_visible_pages_want_something() -> None:
    hub = Hub()
    assert hub.wanted() == (False, [], [])
    one, two = hub.join(), hub.join()
    one.visible, one.layers = True, frozenset({2, 1})
    two.layers, two.beside = frozenset({3}), frozenset({4, 1})
    assert hub.wanted() == (True, [1, 2], [])
    two.visible = True
    assert hub.wanted() == (True, [1, 2, 3], [1, 4])
