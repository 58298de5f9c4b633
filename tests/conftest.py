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
from small_picture import BATCH, HEIGHT, WIDTH, picture_data

from sfumato import picture
from sfumato.data import Data
from sfumato.recipe import Recipe

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest_plugins = ["left_out", "playground_server", "quick_studies"]

settings.register_profile("sfumato", deadline=None)  # a shared machine stalls at times: no test is timed
settings.load_profile("sfumato")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums are cut among threads: one thread makes runs on any machine equal, and leaves the other cores alone."""
    torch.set_num_threads(1)


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
