import numpy as np
import pytest

from acquisition.twin.phases import LITHIUM_X
from acquisition.twin.score import AnalysedMap, average_over, score_amounts, score_lithium, score_weight_fractions
from acquisition.twin.slice import Slice, grams_per_c6, graphite_phases

N, VOXEL_MM = 40, 0.025
ANODE = ("graphite", "lic12", "lic6")
MATERIALS = (*ANODE, "nmc")


def make_truth() -> Slice:
    """A left half of anode whose lithium rises with y, a right half of cathode."""
    x = np.linspace(0.05, 0.95, N)[:, np.newaxis] * np.ones(N)
    is_anode = np.arange(N) < N // 2
    parts = graphite_phases(x)
    layers = [0.02 * parts[name] * grams_per_c6(name) * is_anode for name in ANODE]
    layers.append(3.0 * ~is_anode * np.ones((N, N)))
    return Slice(
        name="halves", materials=MATERIALS, density_g_cm3=np.stack(layers, axis=-1).astype(np.float32), voxel_mm=VOXEL_MM
    )


def as_map(value: np.ndarray, *, sigma: np.ndarray | None = None, reason: np.ndarray | None = None) -> AnalysedMap:
    """Put a map of 10 x 10 voxels of 0.1 mm over the truth."""
    good = np.zeros(value.shape, dtype=np.uint8) if reason is None else reason
    return AnalysedMap(value=value, sigma=sigma, reason=good, pixel_mm=0.1, x_first_mm=-0.45, y_first_mm=-0.45)


BLANK = as_map(np.zeros((10, 10)))


def averaged(truth: Slice, name: str) -> np.ndarray:
    return average_over(truth, truth.density_of(name), like=BLANK)


def true_lithium(truth: Slice) -> np.ndarray:
    moles = {name: averaged(truth, name) / grams_per_c6(name) for name in ANODE}
    with np.errstate(invalid="ignore"):
        return sum(LITHIUM_X[name] * part for name, part in moles.items()) / sum(moles.values())


def test_averaging_keeps_the_mass() -> None:
    truth = make_truth()
    shifted = AnalysedMap(
        value=np.zeros((20, 20)), sigma=None, reason=BLANK.reason, pixel_mm=0.083, x_first_mm=-0.77, y_first_mm=-0.8
    )

    assert average_over(truth, truth.density_of("nmc"), like=shifted).sum() * 0.083**2 == pytest.approx(
        truth.density_of("nmc").sum() * VOXEL_MM**2
    )


def test_the_truth_itself_scores_zero() -> None:
    truth = make_truth()
    score = score_lithium(as_map(true_lithium(truth)), truth)

    assert (score.n_voxels, score.n_missing) == (50, 0)
    assert score.rms == pytest.approx(0, abs=1e-6)


def test_an_offset_is_found_as_bias_and_spread_as_rms() -> None:
    truth = make_truth()
    wrong = true_lithium(truth) + 0.03 + 0.04 * np.where(np.indices((10, 10)).sum(axis=0) % 2, 1, -1)
    score = score_lithium(as_map(wrong, sigma=np.full((10, 10), 0.05)), truth)

    assert score.bias == pytest.approx(0.03, abs=1e-6)
    assert score.rms == pytest.approx(0.05, abs=1e-6)
    assert score.coverage_68 == pytest.approx(0.5)


def test_a_mirrored_map_does_not_pass_for_the_truth() -> None:
    truth = make_truth()

    assert score_lithium(as_map(true_lithium(truth)[::-1]), truth).rms > 0.3


def test_values_where_there_is_nothing_are_counted_apart() -> None:
    truth = make_truth()
    bare = true_lithium(truth)
    spilt = bare.copy()
    spilt[2, 7:9] = 0.4

    assert score_lithium(as_map(bare), truth).n_extra == 0
    assert score_lithium(as_map(spilt), truth).n_extra == 2
    assert score_lithium(as_map(spilt, reason=np.isnan(bare).astype(np.uint8)), truth).n_extra == 0
    assert score_lithium(as_map(spilt), truth).rms == score_lithium(as_map(bare), truth).rms


def test_masked_voxels_are_counted_as_missing() -> None:
    truth = make_truth()
    reason = np.zeros((10, 10), dtype=np.uint8)
    reason[:3] = 2
    score = score_lithium(as_map(true_lithium(truth), reason=reason), truth)

    assert (score.n_voxels, score.n_missing) == (35, 15)


def test_one_scale_for_all_phases_is_found() -> None:
    truth = make_truth()
    scores, scale = score_amounts({name: as_map(averaged(truth, name) / 7) for name in MATERIALS}, truth)

    assert scale == pytest.approx(7)
    assert all(score.rms == pytest.approx(0, abs=1e-6) for score in scores.values())


def test_a_phase_that_is_too_strong_is_told_from_the_others() -> None:
    truth = make_truth()
    maps = {name: as_map(averaged(truth, name) * (1.2 if name == "lic6" else 1.0)) for name in MATERIALS}
    scores, _ = score_amounts(maps, truth)

    assert scores["lic6"].bias > 5 * abs(scores["lic12"].bias)


def test_weight_fractions_are_compared_where_there_is_matter() -> None:
    truth = make_truth()
    total = sum(averaged(truth, name) for name in MATERIALS)
    maps = {name: as_map(averaged(truth, name) / total) for name in MATERIALS}
    scores = score_weight_fractions(maps, truth)

    assert all(score.n_voxels == 100 and score.rms == pytest.approx(0, abs=1e-6) for score in scores.values())


def test_an_empty_map_scores_nothing() -> None:
    score = score_lithium(as_map(np.full((10, 10), np.nan)), make_truth())

    assert score.n_voxels == 0
    assert np.isnan(score.rms)
