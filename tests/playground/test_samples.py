"""Pictures made from formulas: the same everywhere, in range at any size, and each what its title says."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.playground import samples
from sfumato.playground.samples import SAMPLES, SIZE


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("size", [(SIZE, SIZE), (40, 60), (1, 1)])
def test_every_sample_is_a_picture_at_any_size_and_the_same_each_time(
    name: str, size: tuple[int, int]
) -> None:
    title, make = SAMPLES[name]
    values = make(*size)
    assert title and values.shape == (*size, 3) and values.dtype == np.float32
    assert values.min() >= 0 and values.max() <= 1
    assert np.array_equal(values, make(*size))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_its_name_and_is_no_plain_ground(name: str) -> None:
    made = samples.generated(name)
    assert made.name == name and made.values.shape == (SIZE, SIZE, 3)
    assert made.values.std() > 0.05
    with pytest.raises(KeyError):
        samples.generated(f"{name}s")


def crossings(row: np.ndarray) -> int:
    """How often a row passes its middle."""
    return int(np.count_nonzero(np.diff(np.signbit(row - (row.min() + row.max()) / 2))))


def test_stripes_become_finer_from_left_to_right() -> None:
    """The frequency is 2 * 24^x cycles a width, of which each sixth holds its integral; two crossings a cycle."""
    row = samples.stripes(8, 960)[4, :, 0].astype(np.float64)
    counts = [crossings(part) for part in np.split(row, 6)]
    cycles = np.diff(2 * 24 ** np.linspace(0, 1, 7) / np.log(24))
    assert np.abs(np.array(counts) - 2 * cycles).max() <= 1 and counts == sorted(counts)


def test_a_disc_is_light_within_and_dark_outside_with_one_edge() -> None:
    values = samples.disc(100, 100).sum(-1)
    assert values[50, 50] > 3 * values[5, 5]
    row = values[50]
    assert crossings(row) == 2


def test_noise_has_nothing_to_do_with_its_neighbours() -> None:
    values = samples.noise(64, 64).reshape(-1) - 0.5
    # 12,288 independent values: the correlation is within five times 1 / sqrt(12288) = 0.009
    assert abs(np.corrcoef(values[3:], values[:-3])[0, 1]) < 0.045


def test_lettering_is_dark_on_light_and_covers_the_picture() -> None:
    values = samples.lettering(SIZE, SIZE).mean(-1)
    ink = values < 0.5
    assert 0.01 < ink.mean() < 0.3
    assert ink[: SIZE // 3].any() and ink[SIZE // 2 :].any()
