"""Quick versions, run once a session and shared by the tests of a study; no process is started."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from here import Here

from sfumato.compare import workers
from sfumato.studies import _running
from sfumato.studies._running import Done

Quick = Callable[[str], Done]


@pytest.fixture(scope="session")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Quick:
    """The quick version of a study by its name: one seed, in this process."""
    kept: dict[str, Done] = {}

    def run(name: str) -> Done:
        if name not in kept:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(workers, "Pool", Here)
                torch.set_num_threads(1)
                kept[name] = _running.run(name, tmp_path_factory.mktemp(name), quick=True)
        return kept[name]

    return run
