"""What is seen of studies: drawings that a browser shows whole, kept figures in their own colours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import reading_list
from PIL import Image

from sfumato.drawing.charts import CATEGORIES
from sfumato.studies import names, study

if TYPE_CHECKING:
    from playwright.sync_api import Browser

OUTSIDE = """() => {
  const whole = document.querySelector("svg").viewBox.baseVal;
  return [...document.querySelectorAll("svg text")].filter(text => {
    const box = text.getBBox();
    return box.x < 0 || box.y < 0 || box.x + box.width > whole.width || box.y + box.height > whole.height;
  }).map(text => text.textContent);
}"""


def test_no_word_of_a_drawing_is_cut_off(browser: Browser) -> None:
    page = browser.new_page()
    for name in names():
        page.set_content(study(name).DRAWING)
        assert page.locator("svg text").count() > 1
        assert page.evaluate(OUTSIDE) == [], name
    page.close()


def figure(path: Path, noise: int) -> Path:
    """A legend's few lines in their colours above `noise` rows of noise, whose PNG has three bytes a pixel."""
    values = np.full((40 + noise, 400, 3), 255, np.uint8)
    for row, colour in enumerate(CATEGORIES):
        values[4 + 5 * row, 10:26] = colour
    values[40:] = np.random.default_rng(0).integers(0, 256, (noise, 400, 3))
    Image.fromarray(values).save(path / "figure.png")
    return path / "figure.png"


@pytest.mark.parametrize("noise", [0, 250])
def test_a_kept_figure_is_small_and_its_legend_keeps_its_colours(noise: int, tmp_path: Path) -> None:
    """250 rows of noise are 300,000 bytes as they are, and 100,000 in 256 colours.

    Tolerance: 256 colours spread over the whole cube are 255 / 256^(1/3) = 40 apart, so half of that a channel from
    any other, if the spread is even; half as much again is allowed.
    """
    made = reading_list.small_png(figure(tmp_path, noise))
    assert len(made) <= reading_list.MOST_BYTES
    (tmp_path / "kept.png").write_bytes(made)
    kept = np.asarray(Image.open(tmp_path / "kept.png").convert("RGB")).astype(int)
    for row, colour in enumerate(CATEGORIES):
        assert np.abs(kept[4 + 5 * row, 12] - colour).max() <= (30 if noise else 0)


def test_a_figure_that_cannot_be_made_small_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="too large to be kept"):
        reading_list.small_png(figure(tmp_path, 600))
