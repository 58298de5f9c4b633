"""origin.json: what it says of a run, and that nothing in it is believed that is not of its kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sfumato import machine, nets
from sfumato.data import Data
from sfumato.engine import eager
from sfumato.errors import RunError
from sfumato.recipe import Recipe
from sfumato.runs import origin
from sfumato.runs.watch import Watch

HERE = Path("a run")


def described(recipe: Recipe, tiny: Data, source: str | None = None) -> dict[str, Any]:
    return origin.describe(recipe, source, tiny, nets.build(recipe, 2, 3), "eager", Watch(frames="7"))


def test_all_of_it_can_be_written_and_is_believed_when_it_is_read(recipe: Recipe, tiny: Data) -> None:
    said = described(recipe, tiny)
    assert origin.checked(json.dumps(said), HERE) == said
    assert said["samples"] == 221 and (said["inputs"], said["outputs"]) == (2, 3)
    assert said["parameters"] == 2 * 16 + 16 + 16 * 16 + 16 + 16 * 3 + 3
    assert said["watch"]["frames"] == "7" and Watch(**said["watch"]) == Watch(frames="7")
    assert said["packages"]["numpy"] == np.__version__


def test_a_file_is_named_in_full_and_any_other_source_as_it_was_said(
    recipe: Recipe, tiny: Data, folder: Path
) -> None:
    assert described(recipe, tiny, "photo.png")["source"] == str(folder / "photo.png")
    assert described(recipe, tiny, "nowhere.png")["source"] == "nowhere.png"
    assert described(recipe, tiny)["source"] is None


def test_bits_depend_on_engine_threads_and_instruction_set(recipe: Recipe) -> None:
    said = origin.arithmetic(recipe.replace(threads=3), "eager")
    assert said == {"engine": "eager", "threads": 3, "instruction_set": eager.instruction_set()}
    assert origin.arithmetic(recipe.replace(threads=0), "eager")["threads"] == machine.available_threads()
    by_itself = origin.arithmetic(recipe, "torch")  # a task that trains by itself
    assert by_itself["engine"] == "torch" and by_itself["instruction_set"] == eager.instruction_set()


@pytest.mark.parametrize("field", origin.FIELDS)
def test_a_field_of_another_kind_is_damage(field: str) -> None:
    for wrong in ([1, "x"], {"a": [1]}, -3.5, "a\tb" * 30_000, float(1 << 70)):
        fine = origin.FIELDS[field](wrong)
        if not fine:
            with pytest.raises(RunError, match=f"a run is damaged: {field} in origin.json is"):
                origin.checked(json.dumps({field: wrong}), HERE)
    assert not all(origin.FIELDS[field](wrong) for wrong in ([1, "x"], {"a": [1]}, -3.5))


@pytest.mark.parametrize(
    "field", ["inputs", "outputs", "samples", "parameters", "threads", "first_step", "format"]
)
def test_true_is_no_number(field: str) -> None:
    with pytest.raises(RunError, match=f"{field} in origin.json is True"):
        origin.checked(json.dumps({field: True}), HERE)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "a run is damaged: origin.json: "),
        ("[]", "holds no object"),
        ("3", "holds no object"),
        ('{"aspect": NaN}', "a run is damaged"),
        ('{"format": 2}', "a run has format 2, this sfumato reads up to 1\nhint: update"),
    ],
)
def test_what_is_no_origin_is_refused(text: str, says: str) -> None:
    with pytest.raises(RunError) as caught:
        origin.checked(text, HERE)
    assert says in str(caught.value)


def test_fields_of_later_versions_may_be_anything() -> None:
    assert origin.checked('{"weather": [1, {"a": null}]}', HERE) == {"weather": [1, {"a": None}]}
