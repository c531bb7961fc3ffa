from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acquisition.twin.jelly_roll import CARBON_G_CM3, INNER_RADIUS_MM, OUTER_RADIUS_MM
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.sample import make_sample, pixel_mask, write_truth
from acquisition.twin.slice import Slice, graphite_phases, lithium_from_amounts
from acquisition.twin.truth import read_slice
from operando.errors import DataError, ProfileError
from operando.profile import Profile, read_profile


def demo(sample: str = "jelly-roll", *, seed: int = 1) -> Profile:
    profile = read_profile("demo")
    assert profile.twin is not None
    return profile.model_copy(update={"twin": profile.twin.model_copy(update={"sample": sample, "seed": seed})})


@pytest.fixture(scope="module")
def make() -> Callable[[str], Slice]:
    kept: dict[str, Slice] = {}

    def find(name: str) -> Slice:
        return kept.setdefault(name, make_sample(demo(name)) if name not in kept else kept[name])

    return find


def test_the_same_name_and_seed_give_the_same_roll(make: Callable[[str], Slice]) -> None:
    assert np.array_equal(make("jelly-roll").density_g_cm3, make_sample(demo()).density_g_cm3)


def test_another_seed_gives_another_roll(make: Callable[[str], Slice]) -> None:
    assert not np.array_equal(make("jelly-roll").density_g_cm3, make_sample(demo(seed=2)).density_g_cm3)


def test_the_first_hidden_roll_is_wound_otherwise(make: Callable[[str], Slice]) -> None:
    one, other = (make(name).density_of("nmc") for name in ("jelly-roll", "jelly-roll-a"))

    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] < 0.9


def test_the_second_hidden_roll_has_the_same_layers_and_mirrored_lithium(make: Callable[[str], Slice]) -> None:
    one, mirrored = make("jelly-roll"), make("jelly-roll-b")
    seen, other = one.lithium_x, mirrored.lithium_x[:, ::-1]
    both = np.isfinite(seen) & np.isfinite(other)

    assert np.array_equal(one.density_of("nmc"), mirrored.density_of("nmc"))
    assert seen[both] == pytest.approx(other[both], abs=0.02)
    assert np.nanstd(one.lithium_x - mirrored.lithium_x) > 0.1


def test_no_voxel_holds_more_than_its_volume(make: Callable[[str], Slice]) -> None:
    sample = make("jelly-roll")
    filled = sum(sample.density_of(name) / CRYSTALS[name].density_g_cm3 for name in CRYSTALS)

    assert np.max(filled + sample.density_of("electrolyte") / 1.25 + sample.density_of("polymer") / 0.95) <= 1.001


def test_the_can_weighs_what_a_steel_ring_does(make: Callable[[str], Slice]) -> None:
    sample = make("jelly-roll")
    area_mm2 = sample.density_of("fe").sum() * sample.voxel_mm**2 / CRYSTALS["fe"].density_g_cm3

    assert area_mm2 == pytest.approx(np.pi * (OUTER_RADIUS_MM**2 - INNER_RADIUS_MM**2), rel=1e-3)


def test_lithium_lags_and_all_graphite_phases_are_there(make: Callable[[str], Slice]) -> None:
    sample = make("jelly-roll")
    x = sample.lithium_x[np.isfinite(sample.lithium_x)]

    assert x.min() < 0.4
    assert x.max() > 0.8
    for phase in ("graphite", "lic12", "lic6"):
        assert sample.density_of(phase).max() > 0.25 * CARBON_G_CM3


@given(x=st.floats(0, 1))
def test_phases_hold_the_lithium_that_they_are_made_from(x: float) -> None:
    phases = graphite_phases(np.array([x]))

    assert sum(part[0] for part in phases.values()) == pytest.approx(1)
    assert lithium_from_amounts(phases)[0] == pytest.approx(x)


def test_the_truth_file_gives_back_the_sample(make: Callable[[str], Slice], tmp_path: Path) -> None:
    write_truth(demo("jelly-roll-b"), tmp_path / "out" / "truth.h5")
    found, made = read_slice(tmp_path / "out" / "truth.h5"), make("jelly-roll-b")

    assert found.name == "jelly-roll-b"
    assert found.lithium_x == pytest.approx(made.lithium_x, nan_ok=True)
    for material in made.materials:
        assert np.array_equal(found.density_of(material), made.density_of(material))


def test_a_file_that_is_no_truth_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.h5").write_bytes(b"not HDF5")
    with pytest.raises(DataError, match=r"other\.h5"):
        read_slice(tmp_path / "other.h5")


def test_an_unknown_sample_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ProfileError, match=r"'pouch'.*jelly-roll"):
        make_sample(demo("pouch"))


def test_a_detector_of_another_shape_is_refused() -> None:
    profile = demo()
    smaller = profile.model_copy(update={"detector": profile.detector.model_copy(update={"n_rows": 1000})})
    with pytest.raises(ProfileError, match=r"\(1679, 1475\).*\(1000, 1475\)"):
        pixel_mask(smaller)
