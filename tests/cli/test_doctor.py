"""What doctor says of an installation, and its exit code."""

from __future__ import annotations

import json

import pytest

from sfumato.__main__ import main
from sfumato.cli import doctor


def test_doctor_tells_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["engines"]["eager"] == "ready" and facts["packages"]["torch"]
    assert main(["doctor", "warp-drive"]) == 3
    assert "missing: warp-drive" in capsys.readouterr().err


def test_doctor_gives_an_engine_that_is_not_built_one_line() -> None:
    facts = doctor.facts()
    facts["engines"]["native"] = "no: it is not built here (no module)\nhint: install a C++ compiler"
    lines = doctor.text(facts).splitlines()
    assert "engine native     no: it is not built here (no module); install a C++ compiler" in lines
    assert all(line[:16].strip() for line in lines), lines


def test_a_part_that_is_missing_is_told_with_what_brings_it() -> None:
    found = {"engines": {"native": "no: it is old\nhint: compile it", "cuda": "no: no GPU"}, "extras": {}}
    assert doctor.hint(found, "native") == "compile it"
    assert "NVIDIA" in doctor.hint(found, "cuda")
    assert doctor.hint(found, "video") == 'pip install "sfumato[video]"'
    assert doctor.hint(found, "warp").startswith("known are native, cuda, video, ")
