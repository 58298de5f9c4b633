"""Tensors and facts come back as they were, or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sfumato.errors import RunError
from sfumato.runs import tensors

KINDS = [torch.float32, torch.float16, torch.float64, torch.int64, torch.uint8, torch.bool]


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (2, 0, 4)])
@pytest.mark.parametrize("kind", KINDS)
def test_tensors_of_any_kind_and_shape_come_back(
    tmp_path: Path, kind: torch.dtype, shape: tuple[int, ...]
) -> None:
    value = torch.arange(24).to(kind)[: torch.Size(shape).numel()].reshape(shape)
    (tmp_path / "a").write_bytes(tensors.pack({"weights:x": value}, {"step": 3, "seconds": 0.25}))
    found, facts = tensors.unpack(tmp_path, "a")
    assert facts == {"step": 3, "seconds": 0.25, "format": tensors.FORMAT}
    assert found["weights:x"].dtype == kind and torch.equal(found["weights:x"], value)


def test_two_tensors_that_change_places_are_noticed(tmp_path: Path) -> None:
    """The same bytes under other names: only a checksum over names finds it."""
    one, two = torch.zeros(2), torch.ones(2)
    content = tensors.pack({"a": one, "b": two}, {})
    swapped = content.replace(b'"a":', b'"?":').replace(b'"b":', b'"a":').replace(b'"?":', b'"b":')
    assert swapped != content
    (tmp_path / "a").write_bytes(swapped)
    with pytest.raises(RunError, match="damaged"):
        tensors.unpack(tmp_path, "a")


def test_what_is_not_there_is_missing_and_what_is_no_such_file_is_damaged(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="missing"):
        tensors.unpack(tmp_path, "a")
    (tmp_path / "a").write_bytes(b"not tensors")
    with pytest.raises(RunError, match="damaged"):
        tensors.unpack(tmp_path, "a")
