"""What a comparison says: tables, verdicts, what would settle them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sfumato.compare import summary
from sfumato.compare.comparison import Comparison, Contestant, Request, Row, Subject
from sfumato.recipe import Recipe

SMALL = Recipe(net=(8, 8), batch=32, epochs=2, engine="eager", rate=0.01)


# Tables ---------------------------------------------------------------------------------------------


def made(scores: dict[str, list[list[float]]], **fields: Any) -> Comparison:
    """A comparison with these PSNR (pictures, seeds) for each recipe, without a run."""
    pictures, seeds = np.shape(next(iter(scores.values())))
    subjects = [Subject(f"p{i}.png", f"p{i}", 10, 10, 3, 0) for i in range(pictures)]
    rows = [
        Row(
            label, f"p{i}", s, psnr=v, psnr_seen=v, psnr_hidden=v - 1, ssim=0.9, parameters=1234, steps=10,
            epochs=2, seconds=4, cores=1, curve=((0.0, 5.0), (2.0, v - 3), (4.0, v)),
        )
        for label, table in scores.items()
        for i, row in enumerate(table)
        for s, v in enumerate(row)
    ]  # fmt: skip
    request = Request(tuple(Contestant(label, SMALL) for label in scores), seeds=seeds, tune=0, **fields)
    return Comparison(request, Path(), subjects, {}, {}, rows)


def test_the_table_by_eye() -> None:
    text = summary.text(
        made({"siren": [[31.0, 31.2, 31.1]], "classic": [[26.0, 26.4, 26.2]]}, targets=(28.0, 35.0))
    )
    assert text.splitlines() == [
        "p0 (10x10): 30 s each, 3 seeds, hidden pixels: 0.1",
        "not tuned: each recipe's own rate",
        "",
        "recipe   param.     PSNR seen        hidden    SSIM  epochs  s/epoch",
        "siren      1234  31.10 ± 0.10  30.10 ± 0.10  0.9000       2        2",
        "classic    1234  26.20 ± 0.20  25.20 ± 0.20  0.9000       2        2",
        "",
        "seconds to (dB past it)         28 dB         35 dB",
        "siren                        2 (+3.1)  never (-3.9)",
        "classic                  never (-1.8)  never (-8.8)",
        "",
        "Verdicts: mean difference [95 % interval], p of sign flips",
        "- siren against classic, seen pixels: +4.90 dB [+4.65, +5.15], p 0.25: siren is",
        "  better on this picture",
        "- siren against classic, hidden pixels: +4.90 dB [+4.65, +5.15], p 0.25: siren",
        "  is better on this picture",
    ]


def test_no_verdict_tells_what_might_settle_it() -> None:
    few = summary.verdicts(made({"a": [[30.0, 31.0, 32.0]], "b": [[29.5, 31.2, 31.0]]}))[0]
    assert not few.better and "might settle it" in few.text and "seeds" in few.text
    same = summary.verdicts(made({"a": [[30.0, 31.0, 32.0]], "b": [[30.0, 31.1, 31.9]]}))[0]
    assert "they differ by less than" in same.text
    one = summary.verdicts(made({"a": [[30.0]], "b": [[20.0]]}))[0]
    assert not one.better and "one seed tells nothing" in one.text


def test_many_pairs_ask_for_more() -> None:
    """The same numbers that decide between two recipes do not among five."""
    rows = {"a": [[30.0, 31.0, 31.5, 30.5, 31.0]], "b": [[29.8, 30.3, 30.7, 29.9, 30.1]]}
    assert summary.verdicts(made(rows))[0].better == "a"
    others = {name: [[20.0, 20.1, 20.2, 20.1, 20.0]] for name in "cde"}
    found = next(v for v in summary.verdicts(made(rows | others)) if (v.a, v.b) == ("a", "b"))
    assert found.difference is not None and found.difference.level == 1 - 0.05 / 10 and not found.better


def test_long_labels_become_letters_in_tables() -> None:
    long = "classic+optimizer=adam:beta2=0.99+rate=0.001"
    text = summary.text(made({"siren": [[31.0, 31.2]], long: [[26.0, 26.4]]}))
    assert f"B = {long}" in text and max(map(len, text.splitlines())) <= 80


def test_parquet_holds_what_csv_holds(tmp_path: Path) -> None:
    import pyarrow.parquet

    done = made({"a": [[30.0, 31.0]], "b": [[29.0, 29.5]]})
    summary.write_parquet(done, tmp_path / "results.parquet")
    table = pyarrow.parquet.read_table(tmp_path / "results.parquet").to_pylist()
    names, rows = summary.table_rows(done)
    assert [list(line) for line in table] == [names] * 4 and [list(line.values()) for line in table] == rows


def test_recipes_that_hide_pixels_of_their_own_are_not_said_to_share_them() -> None:
    done = made({"a": [[30.0, 31.0]], "b": [[32.0, 33.0]]})
    a, b = done.request.contestants
    own = replace(b, recipe=b.recipe.replace(held_out="random:share=0.5"))
    done = replace(done, request=replace(done.request, contestants=(a, own)))
    assert next(summary.conditions(done)).endswith("hidden pixels: each recipe's own")


def test_every_target_has_its_column() -> None:
    targets = (20.0, 22.0, 24.0, 26.0, 28.0, 30.0)
    text = summary.text(made({"a": [[31.0]], "b": [[26.0]]}, targets=targets))
    assert all(f"{t:g} dB" in text for t in targets) and max(map(len, text.splitlines())) <= 80
