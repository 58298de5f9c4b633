"""Fixtures that many tests share: a picture that is not square, whose pixels no batch divides, and a recipe."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import toolchain
import torch
from hypothesis import settings

from sfumato import picture
from sfumato.data import Array, Data
from sfumato.picture.pixels import coordinates
from sfumato.recipe import Recipe

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["left_out", "playground_server", "quick_studies"]

settings.register_profile("sfumato", deadline=None)  # a shared machine stalls at times: no test is timed
settings.load_profile("sfumato")

HEIGHT, WIDTH, BATCH = 13, 17, 48
"""221 pixels in batches of 48: a partial batch, and an epoch's end within 8 steps."""


FAST = [
    "--net",
    "8",
    "--epochs",
    "2",
    "--batch",
    "32",
    "--engine",
    "eager",
    "--film",
    "none",
    "--frames",
    "3",
]
"""Flags of `paint` for a run of a moment."""


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums are cut among threads: one thread makes runs on any machine equal, and leaves the other cores alone."""
    torch.set_num_threads(1)


def colours(height: int, width: int, channels: int = 3) -> Array:
    """A smooth picture with some detail and no symmetry, from formulas alone: float32 (H W, C) in [0, 1]."""
    x, y = coordinates(height, width).astype(np.float64).T
    waves = [
        0.3 + 0.6 * x * y,
        0.5 + 0.4 * np.sin(9 * x - 4 * y),
        0.5 + 0.3 * np.cos(11 * y + 2 * x),
        x * (1 - y),
    ]
    return np.stack(waves[:channels], 1).astype(np.float32)


def picture_data(height: int, width: int, channels: int = 3) -> Data:
    """Every pixel of `colours` as a training sample."""
    inputs = coordinates(height, width)
    empty = np.empty((0, 2), np.float32), np.empty((0, channels), np.float32)
    return Data(inputs, colours(height, width, channels), *empty)


@pytest.fixture(scope="session")
def tiny() -> Data:
    """13 rows, 17 columns, three colours."""
    return picture_data(HEIGHT, WIDTH)


@pytest.fixture
def recipe() -> Recipe:
    """Twelve steps of a 2-16-16-3 tanh net: two and a half epochs of `tiny`."""
    return Recipe(
        net=(16, 16),
        activation="tanh",
        rate=0.01,
        schedule="cosine",
        batch=BATCH,
        steps=12,
        engine="eager",
        threads=1,
    )


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A 13x9 picture, whose 117 pixels no batch of 16 divides."""
    values = np.random.default_rng(0).integers(0, 256, (9, 13, 3)) / np.float32(255)
    path = tmp_path / "photo.png"
    picture.save(picture.from_array(values), path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Two pictures of different size, 14x12 and 11x15, by their paths."""
    paths = []
    for number, shape in enumerate([(12, 14), (15, 11)]):
        values = np.random.default_rng(number).integers(0, 256, (*shape, 3)) / np.float32(255)
        paths.append(str(tmp_path / f"photo{number}.png"))
        picture.save(picture.from_array(values), Path(paths[-1]))
    return paths


@pytest.fixture
def folder(photo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, which holds photo.png."""
    monkeypatch.chdir(photo.parent)
    return photo.parent


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium without a window. Tests that ask for it are left out, aloud, where none starts (left_out.py)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        # Root may not use the sandbox, and containers have little shared memory. Without a browser on PATH:
        # playwright's own.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        started = driver.chromium.launch(executable_path=toolchain.chromium(), args=options)
        yield started
        started.close()
