"""Which level of settings wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from sfumato.cli import precedence


def test_flags_win_over_environment_over_file_over_recipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("sfumato.toml").write_text('[paint]\nrecipe = "siren"\nbatch = 7\nseed = 5\nrate = 0.25\n')
    monkeypatch.setenv("SFUMATO_PAINT_SEED", "6")
    monkeypatch.setenv("SFUMATO_PAINT_BATCH", "8")
    given = {"batch": 9}
    chosen = precedence.layered("paint", "classic", given, ())
    assert (chosen.activation, chosen.batch, chosen.seed, chosen.rate) == ("sine:omega=30", 9, 6, 0.25)
    named = precedence.layered("paint", "classic", {"recipe": "sharp"}, ())
    assert (named.encoding, named.batch, named.rate) == ("grid", 8192, 0.01), (
        "a file's fields beat a flag's recipe"
    )
