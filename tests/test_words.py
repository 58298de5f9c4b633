"""Numbers, times and scores in words; and no text that a terminal would obey."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfumato import words


def test_scores_of_an_average_say_so() -> None:
    assert words.metric_name("psnr_ema") == "PSNR of the averaged weights"


@given(st.text(st.characters(categories=None), max_size=30))
def test_printed_text_is_one_line_that_moves_no_cursor_and_turns_no_writing(text: str) -> None:
    shown = words.printable(text)
    assert not {unicodedata.category(c) for c in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode()  # and any file takes it
    assert words.printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("photo.png", "photo.png"),
        ("Älg 東京", "Älg 東京"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb", "a\\nb"),
        ("\u202egnp", "\\u202egnp"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_is_harmless_stays_and_the_rest_becomes_an_escape(text: str, shown: str) -> None:
    assert words.printable(text) == shown


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9999, "9999"), (12_345, "12.3k"), (1_900_000, "1.9M"), (3e9, "3.0G"), (-25_000, "-25.0k")],
)
def test_large_numbers_are_short(number: float, text: str) -> None:
    assert words.si(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00"), (252, "4:12"), (3852, "1:04:12"), (math.nan, "?")],
)
def test_times_carry_no_sixty(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text
    assert words.duration(math.inf) == "?"


def test_null_is_exact_for_a_psnr_and_unknown_for_anything_else() -> None:
    assert words.metric_text("psnr", None) == words.metric_text("psnr_hidden", None) == "exact"
    assert words.metric_text("ssim", None) == words.metric_text("test_error", None) == "–"
    assert words.decibels({"psnr": None}) == math.inf
    assert math.isnan(words.decibels({})) and words.decibels({"psnr": 31.25}) == 31.25


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("psnr", 31.256, "31.26 dB"),
        ("test_error", 0.0123, "1.23 %"),
        ("ssim", 0.91234, "0.9123"),
        ("loss", 0.0001234, "0.000123"),
        ("samples", 12_345, "12,345"),
        ("split", "test", "test"),
    ],
)
def test_a_metric_carries_its_unit(key: str, value: object, text: str) -> None:
    assert words.metric_text(key, value) == text


def test_the_score_of_a_line_is_its_first_that_judges_the_net() -> None:
    assert words.score_text({"step": 3, "loss": 0.1, "psnr": 20.0, "test_error": 0.5}) == "20.00 dB"
    assert words.score_text({"train_error": None, "test_error": 0.5}) == "50.00 % errors"
    assert words.score_text({"step": 3, "loss": 0.1}) == ""


def test_epochs_are_fine_at_first_and_whole_later() -> None:
    assert [words.epoch_text(e) for e in (0.051, 12.34, 1250)] == ["epoch 0.051", "epoch 12.3", "epoch 1,250"]


@pytest.mark.parametrize(("text", "columns"), [("plain", 5), ("東京", 4), ("e\u0301", 1), ("é", 1), ("", 0)])
def test_a_width_is_that_of_a_terminal(text: str, columns: int) -> None:
    assert words.width(text) == columns


def test_columns_stand_below_one_another_in_any_script() -> None:
    rows = [("run", "psnr", "recipe"), ("東京_1", "31.25 dB", "classic"), ("a\x1b[2J", "5.00 dB", "")]
    lines = words.aligned(rows, right=(1,)).split("\n")
    assert lines == [
        "run           psnr  recipe",
        "東京_1    31.25 dB  classic",
        "a\\x1b[2J   5.00 dB",
    ]
    assert words.aligned([]) == ""
