"""Tensors and facts as one safetensors file that carries a checksum: what is damaged is refused, never used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from ..files import own

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["pack", "unpack"]

FORMAT = 2
"""Version of the files; those of version 1 had no checksum."""


def pack(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """A safetensors file: tensors, and in its metadata the facts and a checksum of all."""
    from safetensors.torch import save

    body = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({**facts, "format": FORMAT})
    return save(body, {"facts": text, "checksum": _checksum(body, text)})


def unpack(folder: Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts of `folder/name`. RunError where there is none, or it is damaged."""
    from safetensors import SafetensorError, safe_open

    path = own(folder, name)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # safe_open is no mapping
        text = metadata.get("facts", "{}")
        facts = json.loads(text)
        if not isinstance(facts, dict):
            raise ValueError("its facts are no object")
    except FileNotFoundError as error:
        raise RunError(f"{path} is missing") from error
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    known = metadata.get("checksum")
    # Files of version 1 carry none; their metadata said so, or held nothing at all.
    if known is None and facts.get("format", 1) == 1:
        return tensors, facts
    if known != _checksum(tensors, text):
        raise RunError(
            f"{path} is damaged: its checksum does not fit its content\nhint: restore it from a copy"
        )
    return tensors, facts


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """Over names, types, shapes, values and facts: about a gigabyte a second."""
    import torch

    digest = hashlib.blake2b(text.encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
