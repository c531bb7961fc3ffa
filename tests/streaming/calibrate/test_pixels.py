"""Dead, hot and shadowed pixels and the flat field, from frames whose defects are known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operando.errors import CalibrationError, MissingInputError, ProfileError
from operando.profile import read_profile
from streaming.calibrate.pixels import find_flat, find_mask, sum_frames
from streaming.integrate.geometry import make_geometry, read_flat

SHAPE = (220, 200)
ROW, COLUMN = np.indices(SHAPE)
RADIUS = np.hypot(ROW - 104.3, COLUMN - 95.8)
GAPS = np.zeros(SHAPE, bool)
GAPS[:, 120:124] = True


def level(mean: float = 60.0) -> Any:
    """A powder ring on a falling background."""
    return mean * (np.exp(-RADIUS / 120.0) + 3.0 * np.exp(-0.5 * ((RADIUS - 70.0) / 1.5) ** 2))


def frames(n_frames: int, *, expected: Any, seed: int = 1) -> list[Any]:
    random = np.random.default_rng(seed)
    return [random.poisson(expected).astype(np.uint32) for _ in range(n_frames)]


def test_every_kind_of_bad_pixel_is_found_and_no_good_one() -> None:
    expected = level()
    is_shadow = (np.hypot(ROW - 104, COLUMN - 96) < 14) | ((np.abs(ROW - 104) < 4) & (COLUMN < 96))
    expected = np.where(is_shadow, 0.02 * expected, expected)
    expected[30, 40] = 0.0
    expected[150, 60] *= 5.0
    series = frames(5, expected=expected)
    series[2][180, 150] = 4000
    for frame in series:
        frame[10, 10] = 0xFFFFFFFF
    found = find_mask(sum_frames(series, SHAPE), RADIUS, GAPS)
    assert found.mask[30, 40]
    assert found.mask[150, 60]
    assert found.mask[10, 10]
    # A spot in one frame of five is the sample's, not the detector's.
    assert not found.mask[180, 150]
    assert found.mask[is_shadow].mean() > 0.8
    near = np.hypot(ROW - 104, COLUMN - 96) < 19
    near |= (np.abs(ROW - 104) < 9) & (COLUMN < 101)
    assert (found.mask & ~near & ~GAPS).sum() == 3
    assert found.counts["masked before or gap"] == GAPS.sum()
    assert found.counts["without a measurement"] == 1


def test_good_frames_leave_the_mask_as_it_was() -> None:
    found = find_mask(sum_frames(frames(4, expected=level(), seed=3), SHAPE), RADIUS, GAPS)
    np.testing.assert_array_equal(found.mask, GAPS)


def test_unevenness_is_found_within_its_uncertainty() -> None:
    response = 1.0 + 0.03 * np.random.default_rng(5).standard_normal(SHAPE)
    series = frames(40, expected=response * 300.0 * np.exp(-RADIUS / 150.0), seed=6)
    total = sum_frames(series, SHAPE)
    found = find_flat(total, RADIUS, GAPS, np.ones(SHAPE))
    relative = (found.flat / response)[~GAPS & (RADIUS < 90)]
    assert np.std(relative) < 0.015
    assert abs(np.mean(relative) - 1.0) < 0.005
    assert found.scatter == pytest.approx(0.03, rel=0.1)
    assert (found.flat[GAPS] == 1.0).all()


def test_an_even_detector_has_a_flat_of_ones() -> None:
    total = sum_frames(frames(40, expected=np.full(SHAPE, 300.0)), SHAPE)
    assert find_flat(total, RADIUS, GAPS, np.ones(SHAPE)).scatter < 0.002


def test_too_few_counts_for_a_flat_are_refused_with_what_is_wanted() -> None:
    total = sum_frames(frames(2, expected=np.full(SHAPE, 100.0)), SHAPE)
    with pytest.raises(CalibrationError, match=r"2 frames hold 2.. counts a pixel, a flat field wants 2500: add 2. frames"):
        find_flat(total, RADIUS, GAPS, np.ones(SHAPE))


def test_frames_that_are_none_or_of_another_detector_are_refused() -> None:
    with pytest.raises(CalibrationError, match="no frames"):
        sum_frames([], SHAPE)
    with pytest.raises(CalibrationError, match="frame 0 has shape"):
        sum_frames([np.zeros((3, 3), np.uint16)], SHAPE)


def test_a_flat_field_divides_the_counts_and_makes_another_geometry(tmp_path: Path) -> None:
    from pyFAI.geometry import Geometry

    poni = Geometry(dist=0.2, poni1=0.02, poni2=0.02, pixel1=2e-4, pixel2=2e-4, wavelength=2e-11)
    geometry = make_geometry(poni, GAPS, polarization=0.95)
    flat = np.full(SHAPE, 1.1, np.float32)
    np.save(tmp_path / "flat.npy", flat)
    corrected = geometry.with_flat(read_flat(tmp_path / "flat.npy"))
    np.testing.assert_allclose(corrected.correction, 1.1 * geometry.correction, rtol=1e-6)
    assert corrected.sha256 != geometry.sha256
    with pytest.raises(ProfileError, match="has shape"):
        geometry.with_flat(flat[:-1])
    np.save(tmp_path / "zero.npy", 0 * flat)
    with pytest.raises(ProfileError, match="not above zero"):
        read_flat(tmp_path / "zero.npy")
    with pytest.raises(MissingInputError, match="operando flat"):
        read_flat(tmp_path / "none.npy")


def test_a_profile_without_a_flat_is_as_it_was() -> None:
    assert read_profile("demo").geometry.flat is None
