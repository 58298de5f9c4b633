"""Variants typed as text: split, found, checked, and what is said about mistakes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfumato.errors import RecipeError
from sfumato.nets import activations, encodings
from sfumato.recipe import parse_variant, pick


def test_variants_are_split_and_typed() -> None:
    assert parse_variant("sine") == ("sine", {})
    name, arguments = parse_variant(" fourier:bands=8, sigma=1.5,x=True,y=word ")
    assert (name, arguments) == ("fourier", {"bands": 8, "sigma": 1.5, "x": True, "y": "word"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sin", "activation='sin' is unknown; did you mean 'sine'?"),
        ("qqq", "known are finer, fourier_filter, gabor_filter, gaussian"),
        ("sine:omga=3", "sine has no 'omga'; did you mean 'omega'?"),
        ("relu:omega=3", "relu has no 'omega'; it takes no arguments"),
        ("sine:omega", "expected name=value after the colon, got 'omega'"),
        ("sine:omega=fast", "omega must be float, got 'fast'"),
        ("sine:omega=True", "omega must be float, got True"),
        ("sine:3=3", "expected name=value"),
    ],
)
def test_a_variant_that_does_not_exist_is_refused_with_the_nearest(text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        pick(activations, text, "activation")
    assert message in str(caught.value)


def test_a_whole_number_is_taken_where_a_fraction_is_due_and_not_the_other_way() -> None:
    assert pick(activations, "sine:omega=7").arguments == {"omega": 7.0}
    with pytest.raises(RecipeError, match=r"bands must be int, got 1\.5"):
        pick(encodings, "fourier:bands=1.5")


def test_a_callable_is_taken_as_it_is() -> None:
    def swirl(x: Any) -> Any:
        return x

    choice = pick(activations, swirl)
    assert choice("anything") == "anything" and str(choice) == "swirl"


def test_a_choice_knows_its_arguments_and_its_text() -> None:
    choice = pick(activations, "finer:omega=5")
    assert choice.argument("omega") == 5.0 and choice.argument("first_bias") == 1.0
    assert choice.settings == {"omega": 5.0, "first_bias": 1.0} and choice.arguments == {"omega": 5.0}
    assert pick(activations, str(choice)) == choice
    with pytest.raises(KeyError):
        choice.argument("slope")


def test_a_function_of_c_has_no_settings() -> None:
    assert pick(activations, torch.sin).settings == {}


@given(st.text(max_size=20))
def test_no_text_breaks_pick(text: str) -> None:
    try:
        pick(encodings, text, "encoding")
    except RecipeError as error:
        assert "encoding" in str(error) or "name=value" in str(error)
