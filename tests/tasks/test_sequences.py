"""Generated languages against strings worked out by hand; what counts as solved; curricula by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sfumato import experiment
from sfumato.errors import RecipeError
from sfumato.learning import curricula
from sfumato.recipe import pick
from sfumato.runs.watch import Watch
from sfumato.tasks import sequences
from sfumato.tasks._languages import LANGUAGES, pad, solved

RECIPE = sequences.RECIPE


@pytest.mark.parametrize(
    ("language", "symbols", "determined"),
    [
        ("anbn", "aaabbb.", 4),
        ("anb2n", "aaabbbbbb.", 4),
        ("anbncn", "aaabbbccc.", 4),
    ],
)
def test_strings_of_three_are_those_by_hand(language: str, symbols: str, determined: int) -> None:
    string = LANGUAGES[language].string(3, np.random.default_rng(0))
    assert "".join(".abc"[s] for s in string.symbols) == symbols and string.determined == determined


def test_the_last_language_adds() -> None:
    for seed in range(20):
        symbols, determined = LANGUAGES["anbmcnm"].string(7, np.random.default_rng(seed))
        counts = [symbols.count(s) for s in (1, 2, 3, 0)]
        assert counts[0] + counts[1] == counts[2] == 7 and min(counts[:2]) >= 1 and counts[3] == 1
        assert symbols == [*sorted(symbols[:-1]), 0] and determined == 8


def test_a_batch_holds_what_was_said_before_and_what_follows() -> None:
    strings = [LANGUAGES["anbn"].string(n, np.random.default_rng(0)) for n in (1, 2)]
    x, y, mask = pad(strings, 3)
    assert x.argmax(-1).tolist() == [[0, 1, 2, 0, 0], [0, 1, 1, 2, 2]]
    assert y.tolist() == [[1, 2, 0, -1, -1], [1, 1, 2, 2, 0]]
    assert mask.tolist() == [[False, False, True, False, False], [False, False, False, True, True]]
    assert x[0, 3:].sum() == 0


class Oracle(nn.Module):
    """Says what follows in a^n b^n, but for the symbols at which it is told to fail."""

    def __init__(self, wrong_at: int | None) -> None:
        super().__init__()
        self.wrong_at = wrong_at

    def forward(self, x: Tensor) -> Tensor:
        seen = x.cumsum(1)
        said = torch.where(seen[..., 2] == 0, 1, torch.where(seen[..., 2] < seen[..., 1], 2, 0))
        if self.wrong_at is not None:
            said[:, self.wrong_at] = 1
        return nn.functional.one_hot(said, 3).float()


def test_a_string_is_solved_when_all_that_is_determined_is_right() -> None:
    batch = pad([LANGUAGES["anbn"].string(n, np.random.default_rng(0)) for n in (2, 3)], 3)
    assert solved(Oracle(None), batch).tolist() == [True, True]
    assert solved(Oracle(4), batch).tolist() == [False, False]  # the end of the first, a b of the second
    assert solved(Oracle(6), batch).tolist() == [True, False]  # behind the end of the first
    assert solved(Oracle(0), batch).tolist() == [True, True]  # nothing determines the first symbol


def test_batches_are_functions_of_seed_and_step_and_get_harder() -> None:
    stream = sequences.load(None, RECIPE.replace(steps=100))
    assert all(torch.equal(a, b) for a, b in zip(stream.draw(40), stream.draw(40), strict=True))
    assert not torch.equal(
        stream.draw(40).x, sequences.load(None, RECIPE.replace(steps=100, seed=1)).draw(40).x
    )
    assert stream.draw(0).y.shape[1] == 5 and stream.draw(99).y.shape[1] > 25
    longest = max(stream.draw(step).y.shape[1] for step in range(100))
    assert longest == 2 * sequences.LONGEST + 1
    assert stream.facts["test"].y.shape == (36, 121) and stream.facts["validation"].y.shape == (5, 49)


def test_curricula_by_hand() -> None:
    random = np.random.default_rng(0)
    assert curricula.fixed(0.0, random) == 1 and curricula.rising(0.25, random) == 0.5
    assert curricula.rising(0.9, random) == 1 and 0 < curricula.rising(0.0, random) < 1e-6
    drawn = [curricula.combined(0.25, random) for _ in range(4000)]
    # 1 in 5 is drawn: 800 of 4,000, four deviations are 100
    assert abs(sum(value != 0.5 for value in drawn) - 800) < 100 and all(0 < v <= 1 for v in drawn)
    assert abs(np.mean([curricula.mixed(0.0, random) for _ in range(4000)]) - 0.5) < 0.02
    with pytest.raises(RecipeError, match="until=0"):
        curricula.rising(0.1, random, until=0.0)
    assert str(pick(curricula, "rising:until=0.3", "curriculum")) == "rising:until=0.3"


@pytest.mark.parametrize(
    "options",
    [{"language": "anbm"}, {"cell": "stak"}, {"curriculum": "steep"}, {"word": 1}],
)
def test_options_that_are_unknown_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=r"unknown|no option"):
        experiment.prepare(RECIPE.replace(options=options), None)


@pytest.mark.parametrize("cell", ["stack", "clockwork:modules=4", "lstm"])
def test_a_run_leaves_frames_and_scores(cell: str, tmp_path: Path) -> None:
    recipe = RECIPE.replace(
        net=(8,), steps=3, options={"language": "anbn", "cell": cell, "curriculum": "fixed"}
    )
    run = experiment.perform(recipe, out=tmp_path, watch=Watch(frames="2", keep="0", film="webp"))
    assert run.state == "done" and len(run.frames()) >= 2 and (run.folder / "film.webp").exists()
    assert ("test_solved_rounded" in run.last) == cell.startswith("stack") and "validation_solved" in run.last
