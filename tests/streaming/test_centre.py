"""Three estimators of the rotation centre: on phantoms with a known one, and on a real pencil-beam sinogram."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from operando.scan import LineKey, TomogramGrid
from streaming.centre import Centre, centre_of_mass, compare_centres, opposing_pairs, reprojection
from streaming.reconstruct import Reconstruction
from streaming.sinogram import Projection

Array = NDArray[np.float64]
Estimator = Callable[[Array, Array], Centre | None]


def two_discs(angles_deg: Array, *, centre: float, n_points: int = 61) -> Array:
    """Chord lengths through two discs, in points."""
    position = np.arange(n_points) - centre
    sinogram = np.zeros((angles_deg.size, n_points))
    for x, y, radius, density in ((3.0, 7.0, 9.0, 1.0), (-8.0, -2.0, 5.0, 2.0)):
        angle = np.deg2rad(angles_deg)[:, None]
        distance = position - (x * np.cos(angle) + y * np.sin(angle))
        sinogram += density * 2 * np.sqrt(np.maximum(radius**2 - distance**2, 0))
    return sinogram


def real_sinogram(data_folder: Path, *, row: int) -> tuple[Array, Array]:
    """Give the absorbance of one row of Diamond I18's pencil-beam tomogram (Savu test data), and its angles."""
    with h5py.File(data_folder / "Savu" / "mm.nxs") as file:
        transmission = file["entry1/stxm_entry/data/data"][:, row].astype(np.float64)
        angles_deg = file["entry1/stxm_entry/data/theta"][()].astype(np.float64)
    absorbance = -np.log(transmission / transmission.max())
    air = np.minimum(absorbance[:, :3].mean(axis=1), absorbance[:, -3:].mean(axis=1))
    return np.maximum(absorbance - air[:, None], 0), angles_deg


@pytest.mark.parametrize("estimator", [centre_of_mass, opposing_pairs, reprojection])
@pytest.mark.parametrize("centre", [28.0, 30.37, 33.5])
@pytest.mark.parametrize(
    "angles_deg", [np.arange(48) * 7.5, np.arange(40) * 4.5, np.random.default_rng(0).permutation(60) * 6.1]
)
def test_known_centre_is_found(estimator: Estimator, centre: float, angles_deg: Array) -> None:
    found = estimator(two_discs(angles_deg, centre=centre), angles_deg)
    assert found is not None
    assert found.index == pytest.approx(centre, abs=0.15)


def test_estimators_are_compared_by_name_without_torn_lines() -> None:
    angles = np.arange(40) * 4.5
    sinogram = two_discs(angles, centre=30.2)
    sinogram[[3, 17], 4] = np.nan
    found = compare_centres(sinogram, angles)
    assert set(found) == {"centre of mass", "opposing pairs", "reprojection"}
    assert np.ptp([estimate.index for estimate in found.values()]) < 0.15
    assert compare_centres(sinogram[:3], angles[:3]) == {}


def test_centre_of_mass_states_its_uncertainty() -> None:
    random = np.random.default_rng(3)
    angles = np.arange(40) * 4.5
    clean = two_discs(angles, centre=30.2)
    found = []
    for _ in range(100):
        found.append(centre_of_mass(clean + random.normal(0, 0.5, size=clean.shape) * (clean > 0), angles))
    errors = np.array([estimate.index - 30.2 for estimate in found if estimate])
    sigmas = np.array([estimate.sigma for estimate in found if estimate])
    assert len(errors) == 100
    assert np.std(errors) == pytest.approx(np.mean(sigmas), rel=0.4)


def test_one_torn_line_does_not_move_the_centre() -> None:
    angles = np.arange(40) * 4.5
    sinogram = two_discs(angles, centre=30.2) + np.random.default_rng(0).normal(0, 0.05, size=(40, 61)) ** 2
    torn = sinogram.copy()
    torn[7] = np.roll(torn[7], 9)
    before, after = centre_of_mass(sinogram, angles), centre_of_mass(torn, angles)
    assert before is not None
    assert after is not None
    assert after.index == pytest.approx(before.index, abs=0.05)


def test_too_few_angles_give_no_centre() -> None:
    narrow = np.arange(20) * 2.0
    assert centre_of_mass(two_discs(narrow, centre=30), narrow) is None
    few = np.array([0.0, 60.0, 120.0])
    assert centre_of_mass(two_discs(few, centre=30), few) is None
    assert reprojection(two_discs(few, centre=30), few) is None
    assert opposing_pairs(two_discs(few[:1], centre=30), few[:1]) is None


@pytest.mark.parametrize("row", [3, 4, 5, 6])
def test_estimators_agree_on_a_real_sinogram_with_uneven_unsorted_angles(data_folder: Path, row: int) -> None:
    sinogram, angles_deg = real_sinogram(data_folder, row=row)
    estimates = [estimator(sinogram, angles_deg) for estimator in (centre_of_mass, opposing_pairs, reprojection)]
    found = [estimate.index for estimate in estimates if estimate is not None]
    assert len(found) == 3
    assert np.ptp(found) < 0.5
    assert np.median(found) == pytest.approx(45.2, abs=0.75)


def test_real_sinogram_reconstructs(data_folder: Path) -> None:
    sinogram, angles_deg = real_sinogram(data_folder, row=3)
    grid = TomogramGrid(angles_deg=angles_deg, first_position_mm=0.0, step_mm=1.0, n_points=101)
    reconstruction = Reconstruction(grid=grid, n_channels=1, centre_mm=44.7)
    for line, values in enumerate(sinogram):
        projection = Projection(
            key=LineKey(run="I18", line=line, attempt=0),
            angle_deg=float(angles_deg[line]),
            channels=values[:, None],
            variance=np.ones(101),
            unit_variance=np.ones(1),
            is_measured=np.ones(101, dtype=np.bool_),
            pattern_sum=np.zeros(1),
            variance_sum=np.zeros(1),
            n_received=101,
            n_points=101,
        )
        reconstruction.update({line: projection})
    picture = reconstruction.slice().channels[..., 0]
    y, x = np.mgrid[-50:51, -50:51]
    # The capillary's core absorbs, the air around it does not; and the slice holds as much as each line saw on average.
    assert np.percentile(picture[np.hypot(x, y) < 12], 50) > 10 * np.abs(np.percentile(picture[np.hypot(x, y) > 44], 50))
    assert picture[np.hypot(x, y) < 48].sum() == pytest.approx(sinogram.sum(axis=1).mean(), rel=0.05)
