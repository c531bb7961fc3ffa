import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acquisition.twin.projector import areal_masses
from acquisition.twin.slice import Slice

VOXEL_MM = 0.1


def make_slice(density: np.ndarray) -> Slice:
    stack = np.ascontiguousarray(density[..., np.newaxis], dtype=np.float32)
    return Slice(name="test", materials=("fe",), density_g_cm3=stack, voxel_mm=VOXEL_MM)


def profile_at(sample: Slice, angle_deg: float, positions_mm: np.ndarray, width_mm: float) -> np.ndarray:
    return np.array([areal_masses(sample, angle_deg=angle_deg, s_mm=s, width_mm=width_mm)[0] for s in positions_mm])


@settings(deadline=None, max_examples=60)
@given(angle_deg=st.floats(-720, 720), width_mm=st.floats(0.02, 0.7), offset=st.floats(0, 1), seed=st.integers(0, 1000))
def test_beams_side_by_side_hold_all_of_the_mass(angle_deg: float, width_mm: float, offset: float, seed: int) -> None:
    sample = make_slice(np.random.default_rng(seed).random((9, 9)))
    positions = (np.arange(-2.0 // width_mm, 2.0 // width_mm + 1) + offset) * width_mm
    mass_g_per_cm = profile_at(sample, angle_deg, positions, width_mm).sum() * width_mm / 10

    assert mass_g_per_cm == pytest.approx(sample.density_g_cm3.sum(dtype=np.float64) * (VOXEL_MM / 10) ** 2, rel=1e-9)


@settings(deadline=None, max_examples=60)
@given(angle_deg=st.floats(0, 360), row=st.integers(0, 8), column=st.integers(0, 8))
def test_a_voxel_is_seen_at_x_cos_plus_y_sin(angle_deg: float, row: int, column: int) -> None:
    density = np.zeros((9, 9))
    density[row, column] = 1
    sample = make_slice(density)
    positions = np.arange(-1.0, 1.0, 0.01)
    seen = profile_at(sample, angle_deg, positions, 0.01)
    x, y = sample.axis_mm[column], sample.axis_mm[row]
    angle = np.radians(angle_deg)

    assert seen @ positions / seen.sum() == pytest.approx(x * np.cos(angle) + y * np.sin(angle), abs=2e-3)


@settings(deadline=None, max_examples=30)
@given(angle_deg=st.floats(0, 180), s_mm=st.floats(-0.6, 0.6))
def test_half_a_turn_later_the_mirror_image_is_seen(angle_deg: float, s_mm: float) -> None:
    sample = make_slice(np.random.default_rng(1).random((9, 9)))
    there = areal_masses(sample, angle_deg=angle_deg, s_mm=s_mm, width_mm=0.05)
    back = areal_masses(sample, angle_deg=angle_deg + 180, s_mm=-s_mm, width_mm=0.05)

    assert back == pytest.approx(there, rel=1e-6, abs=1e-9)


def test_a_full_square_is_as_thick_as_its_edge() -> None:
    sample = make_slice(np.ones((9, 9)))

    assert areal_masses(sample, angle_deg=0, s_mm=0.03, width_mm=0.02)[0] == pytest.approx(0.9 / 10)
    assert areal_masses(sample, angle_deg=45, s_mm=0, width_mm=1e-4)[0] == pytest.approx(0.9 * np.sqrt(2) / 10, rel=1e-3)


def test_a_beam_beside_the_sample_sees_nothing() -> None:
    assert areal_masses(make_slice(np.ones((9, 9))), angle_deg=30, s_mm=1.5, width_mm=0.1)[0] == 0
