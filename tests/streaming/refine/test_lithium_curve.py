"""Lithium from lengths of a cell, on the curve that comes with the demo and on small ones."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.twin.lattices import lattice_at
from operando.errors import MissingInputError, ProfileError
from streaming.refine.lithium_curve import LithiumCurve, OnCurve, lithium_on_curve, read_curve

PATH = Path(__file__).parents[3] / "profiles/demo/curves/nmc532.csv"
CURVE = read_curve(PATH, phase="nmc")
OTHER = read_curve(Path(__file__).parents[3] / "benchmarks/curves/another-nmc532.csv", phase="nmc")


def at(lithium: float, curve: LithiumCurve = CURVE) -> list[float]:
    return [float(np.interp(lithium, curve.lithium, curve.lengths[:, k])) for k in range(len(curve.axes))]


def found(lengths: list[float], *, sigma_a: float = 3e-4, sigma_c: float = 1e-3) -> OnCurve:
    return lithium_on_curve(CURVE, np.array([lengths]), np.array([np.diag([sigma_a**2, sigma_c**2])]))


@given(lithium=st.floats(0.2, 1.0))
def test_what_lies_on_the_curve_is_found_there(lithium: float) -> None:
    assert found(at(lithium)).value[0] == pytest.approx(lithium, abs=1e-6)


def test_the_same_c_on_either_side_of_its_maximum_is_told_apart_by_a() -> None:
    charged, half = found([2.819, 14.472]), found([2.8297, 14.472])
    assert charged.value[0] == pytest.approx(0.32, abs=0.005)
    assert half.value[0] == pytest.approx(0.594, abs=0.01)
    assert np.isnan(charged.second[0])


def test_where_a_does_not_decide_both_places_are_given() -> None:
    both = found([2.824, 14.472], sigma_a=0.005)
    pair = sorted([both.value[0], both.second[0]])
    assert pair[0] == pytest.approx(0.32, abs=0.02)
    assert pair[1] == pytest.approx(0.59, abs=0.03)


def test_another_curve_than_the_twins_costs_what_it_is_off() -> None:
    """The twin's own lattice, without noise, on the curve that comes with the profiles and on one that is not the twin's."""
    true = np.linspace(0.30, 0.92, 200)
    lengths = np.stack(lattice_at("nmc", true), axis=-1)
    covariance = np.broadcast_to(np.diag([3e-4**2, 1e-3**2]), (true.size, 2, 2))
    own, other = (lithium_on_curve(curve, lengths, covariance).value - true for curve in (CURVE, OTHER))

    assert np.abs(own).max() < 1e-6
    assert 0.01 < np.sqrt(np.mean(other**2)) < 0.04


def test_errors_are_as_large_as_the_uncertainty_says() -> None:
    random = np.random.default_rng(2)
    sigma = np.array([3e-4, 1e-3])
    lengths = np.array(at(0.8)) + random.normal(size=(4000, 2)) * sigma
    result = lithium_on_curve(CURVE, lengths, np.broadcast_to(np.diag(sigma**2), (4000, 2, 2)))
    error = (result.value - 0.8) / result.sigma
    assert error.std() == pytest.approx(1.0, abs=0.06)
    assert result.sigma[0] == pytest.approx(0.002, abs=0.0005)


def test_lengths_that_no_lithium_gives_are_known_to_be_off_the_curve() -> None:
    assert found([2.90, 14.0]).away[0] > 0.03
    assert found(at(0.7)).away[0] < 1e-6


def test_nothing_is_made_of_unknown_lengths() -> None:
    result = found([float("nan"), 14.4])
    assert np.isnan([result.value[0], result.sigma[0], result.second[0], result.away[0]]).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lithium,c_angstrom,provenance\n0.5,14.5,x\n", "two rows"),
        ("lithium,provenance\n0,x\n1,x\n", "one of"),
        ("lithium,c_angstrom,provenance\n0.5,14.5,x\n0.4,14.4,x\n", "ascend"),
        ("lithium,c_angstrom,provenance\n0.5,high,x\n0.6,14.4,x\n", "not a number"),
    ],
)
def test_a_table_that_is_no_curve_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "curve.csv"
    path.write_text(text)
    with pytest.raises(ProfileError, match=words):
        read_curve(path, phase="nmc")


def test_a_missing_curve_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no lithium curve"):
        read_curve(tmp_path / "none.csv", phase="nmc")
