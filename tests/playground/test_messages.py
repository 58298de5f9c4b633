"""What a page may ask for: exactly what the table lists, and nothing that a hostile page could send instead."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato.errors import RecipeError
from sfumato.playground.messages import COMMANDS, MOST_BYTES, parse

GOOD: dict[str, dict[str, Any]] = {
    "ack": {"id": 7},
    "watch": {"layers": [1, 4], "beside": [], "visible": True},
    "start": {"recipe": {"base": "classic", "rate": "0.02", "seed": 3}, "picture": "mona-lisa"},
    "play": {},
    "pause": {},
    "step": {"count": 1},
    "speed": {"level": 5},
    "stop": {},
    "fork": {"run": "2026_x", "step": 0, "changes": {"activation": "sine:omega=30"}},
    "resume": {"run": "2026_x"},
    "race": {"run": "2026_x", "recipe": {"base": "classic", "activation": "tanh"}},
    "alone": {},
}


def test_every_command_has_an_example() -> None:
    assert GOOD.keys() == COMMANDS.keys()


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_good_message_comes_through_unchanged(kind: str) -> None:
    message = {"type": kind, **GOOD[kind]}
    assert parse(json.dumps(message)) == message


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_field_more_or_less_is_refused(kind: str) -> None:
    for wrong in ({**GOOD[kind], "path": "/etc/passwd"}, dict(list(GOOD[kind].items())[1:])):
        if wrong != GOOD[kind]:
            with pytest.raises(RecipeError, match="message refused"):
                parse(json.dumps({"type": kind, **wrong}))


WRONG: list[Any] = [None, -1, 1.5, "x" * 201, "a\nb", "\0", [], {}, [["deep"]], True, 1 << 60, [-1], [1] * 65]


@pytest.mark.parametrize("kind", [kind for kind in COMMANDS if COMMANDS[kind]])
@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_value_of_another_kind_is_refused(kind: str, value: Any) -> None:
    """Every field of every command, with each wrong value that its check does not name as fine."""
    for name, fine in COMMANDS[kind].items():
        body = json.dumps({"type": kind, **GOOD[kind], name: value})
        if fine(value):
            assert parse(body)[name] == value
        else:
            with pytest.raises(RecipeError, match="out of range"):
                parse(body)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "1",
        '"play"',
        "{}",
        '{"type": 1}',
        '{"type": ["play"]}',
        '{"type": "__class__"}',
        '{"type": "step", "count": NaN}',
        '{"type": "step", "count": 1e400}',
        "[" * 20_000,
        '{"type": "step", "count": ' + "9" * 5000 + "}",
    ],
    ids=range(14),
)
def test_what_is_no_message_is_refused(text: str) -> None:
    with pytest.raises(RecipeError, match="message refused"):
        parse(text)


def test_a_message_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(RecipeError, match="more than"):
        parse('{"type": "play", "x": "' + "x" * MOST_BYTES + '"}')


JSON = st.recursive(
    # engines flush subnormal numbers to 0, for the whole process
    st.none() | st.booleans() | st.floats(allow_subnormal=False) | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_fuzzed_messages_are_refused_or_in_the_table(message: str | bytes) -> None:
    try:
        found = parse(message)
    except RecipeError:
        return
    assert set(found) == {"type", *COMMANDS[found["type"]]}


@given(
    st.sampled_from(sorted(COMMANDS)),
    st.dictionaries(st.sampled_from(["count", "run", "recipe", "id"]), JSON),
)
def test_fuzzed_fields_never_get_past_their_checks(kind: str, body: dict[str, Any]) -> None:
    try:
        found = parse(json.dumps({**body, "type": kind}))
    except RecipeError:
        return
    assert all(fine(found[name]) for name, fine in COMMANDS[kind].items())
