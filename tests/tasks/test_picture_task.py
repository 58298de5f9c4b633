"""Pictures of odd sizes reach training, or are refused before a run begins."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sfumato.errors import PictureError
from sfumato.recipe import Recipe
from sfumato.tasks import picture as task


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (65_500, 1)])
@pytest.mark.parametrize("limit", [1, 40, None])
def test_pictures_of_any_shape_become_samples(
    tmp_path: Path, size: tuple[int, int], limit: int | None
) -> None:
    Image.new("L", size, 77).save(tmp_path / "a.png")
    options = {} if limit is None else {"max_pixels": limit}
    data = task.load(str(tmp_path / "a.png"), Recipe(options=options))
    assert 1 <= len(data.inputs) <= (limit or 65_500)
    assert np.allclose(data.targets, 77 / 255, atol=1e-6)


@pytest.mark.parametrize("size", [(70_000, 1), (1, 65_501), (90_000, 2)])
def test_sides_that_no_frame_can_have_are_refused_with_a_way_out(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    Image.new("L", size).save(tmp_path / "a.png")
    with pytest.raises(PictureError) as caught:
        task.load(str(tmp_path / "a.png"), Recipe())
    says = str(caught.value)
    assert says.startswith(f"picture 'a' of {size[0]}x{size[1]} is too long") and len(says.split("\n")) == 2
    limit = int(re.findall(r"--max-pixels (\d+)", says)[0])
    found = task.load(str(tmp_path / "a.png"), Recipe(options={"max_pixels": limit})).facts["picture"]
    assert 60_000 < max(found.width, found.height) <= 65_500
