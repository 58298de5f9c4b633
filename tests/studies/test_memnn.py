"""The simulated world by hand, bAbI's form, the memory net against NumPy in nets/, and the quick version."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sfumato.errors import RecipeError, TaskError
from sfumato.studies import memnn
from sfumato.studies._running import Done
from sfumato.studies.memnn import (
    PLACES,
    RECIPE,
    THINGS,
    WORDS,
    agree,
    answered,
    babi,
    bags,
    looked_up,
    questions,
    tell,
)

STORY = [
    "mary moved to the garden",
    "mary got the milk there",
    "john went to the office",
    "mary travelled to the kitchen",
    "mary left the milk",
    "mary went back to the hallway",
    "john grabbed the apple",
]


@pytest.mark.parametrize(
    ("lines", "asked", "answer"),
    [
        (7, "where is mary", ("hallway", (5, 5))),
        (4, "where is mary", ("kitchen", (3, 3))),
        (4, "where is the milk", ("kitchen", (1, 3))),
        (2, "where is the milk", ("garden", (1, 0))),
        (7, "where is the milk", ("kitchen", (4, 3))),  # left there before mary went on
        (7, "where is the apple", ("office", (6, 2))),
        (7, "where is sandra", None),
        (4, "where is the apple", None),
    ],
)
def test_answers_and_supports_by_hand(lines: int, asked: str, answer: object) -> None:
    assert answered(STORY[:lines], asked) == answer


def test_stories_keep_to_the_rules_of_the_world() -> None:
    """Told again step by step: nobody takes what lies elsewhere or is held, or drops what they do not hold."""
    takes, drops = ({verb.split()[0] for verb in verbs} for verbs in (memnn.TAKES, memnn.DROPS))
    for seed in range(30):
        where: dict[str, str] = {}
        lying: dict[str, str] = {}
        held: dict[str, str] = {}
        for sentence in tell(np.random.default_rng(seed), 40):
            who, verb, *rest = sentence.split()
            if rest[-1] in PLACES:
                assert where.get(who) != rest[-1]
                where[who] = rest[-1]
                continue
            (thing,) = (word for word in rest if word in THINGS)
            if verb in takes:
                assert who in where and lying.get(thing, where[who]) == where[who] and thing not in held
                lying.pop(thing, None)
                held[thing] = who
            else:
                assert verb in drops and held.pop(thing) == who
                lying[thing] = where[who]


def test_every_question_is_answered_by_its_supports_alone() -> None:
    found = questions(200, seed=4)
    assert len(found) == 200 and len({one.story for one in found}) == 200
    for number, one in enumerate(found):
        first, second = one.supports
        assert one.answer in one.story[second] and one.asked.split()[-1] in one.story[first]
        assert (first == second) == (number % 2 == 0)
    agree(found)
    with pytest.raises(TaskError, match="question 0"):
        agree([found[0]._replace(answer="nowhere")])


def test_a_file_of_babi_is_read() -> None:
    """Numbers restart with a story, and count questions; supports become places among the statements."""
    text = "1 Mary moved to the garden.\n2 Where is Mary? \tgarden\t1\n3 Mary got the milk there.\n"
    text += "4 Where is the milk? \tgarden\t3 1\n1 John went to the office.\n2 Where is John? \toffice\t1\n"
    found = babi(text)
    assert [one.supports for one in found] == [(0, 0), (1, 0), (0, 0)]
    assert found[1].story == ("mary moved to the garden", "mary got the milk there")
    assert found[1].asked == "where is the milk" and found[2].story == ("john went to the office",)
    agree(found)


def test_bags_count_words() -> None:
    counts = bags(["the milk the", "mary"])
    assert counts.sum() == 4 and counts[0, WORDS.index("the")] == 2 and counts[1, WORDS.index("mary")] == 1
    with pytest.raises(KeyError):
        bags(["xyzzy"])


def test_colours_of_what_was_looked_up() -> None:
    shown = looked_up(torch.tensor([[0, 2]]), torch.tensor([[0, 1]]), 4)[0, ::12]
    assert [round(float(v), 2) for v in shown[:, 2]] == [0.70, 0.80, 0.0, 1.0]


def test_another_net_is_refused() -> None:
    with pytest.raises(RecipeError, match="memory, one look-up"):
        memnn.load(None, RECIPE.replace(options={"net": "mind"}))


def test_the_quick_version_needs_two_look_ups(quick: Callable[[str], Done]) -> None:
    two = {name: outcomes[0]["two_facts"] for name, outcomes in quick("memnn").results.items()}
    assert two["two look-ups, times"] > two["one look-up"] + 0.1
