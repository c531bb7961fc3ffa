"""The scenarios' samples: published lattices, lithium that moves with the clock of the run, pins where they should be."""

import functools
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from acquisition.cell.source import open_recording
from acquisition.plans.dry_run import dry_run
from acquisition.twin.cable import Pulse
from acquisition.twin.lattices import lattice_maps
from acquisition.twin.phases import LITHIUM_X
from acquisition.twin.published import STATES, make_published
from acquisition.twin.sample import PUBLISHED, SAMPLES, WORKING, SampleFrames, make_frame_source, make_history, pixel_mask
from acquisition.twin.slice import STAGES, grams_per_c6
from acquisition.twin.standard import make_pins
from operando.profile import Profile, profiles_folder, read_profile
from operando.profile.settings import with_settings

published = functools.cache(lambda name, seed: make_published(name, seed=seed))
PUBLISHED_LATTICES = {
    # a, c in angstrom (doi 10.1002/smt.202100512); c alone for charged C/20.
    "aaa-pristine": (2.822, 14.507),
    "aaa-charged-c2": (2.822, 14.508),
    "aaa-charged-c20": (None, 14.472),
    "aaa-discharged-c2": (2.856, 14.329),
    "aaa-discharged-c20": (2.859, 14.316),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_cell_has_its_published_lattices(name: str) -> None:
    """Means over the primary oxide, of which one part in a hundred has no partner and stays full."""
    sample = published(name, 1)
    maps = lattice_maps(sample, follows_lithium=True)
    a, c = PUBLISHED_LATTICES[name]

    assert name in STATES
    assert np.nanmean(maps["c/nmc"]) == pytest.approx(c, abs=0.006)
    if a is not None:
        assert np.nanmean(maps["a/nmc"]) == pytest.approx(a, abs=0.001)


CRYSTALLINE = ("fe", "cu", "al", "nmc", "nmc_s", "graphite", "lic30", "lic12", "lic6")
PUBLISHED_PERCENT = {
    # By weight, of all crystals (doi 10.1002/smt.202100512): primary NMC about 34 in all cells; limits where it gives limits.
    "aaa-pristine": {"nmc": (32, 36), "nmc_s": (0.2, 1.0), "lic6": (0.5, 6), "lic12": (10, 25)},
    "aaa-charged-c2": {"nmc": (32, 36), "nmc_s": (4.2, 4.4), "lic6": (3.1, 3.7), "lic12": (19.5, 22.5)},
    "aaa-charged-c20": {"nmc": (32, 36), "nmc_s": (0.2, 1.0), "lic6": (10, 11), "lic12": (12.8, 14)},
    "aaa-discharged-c2": {"nmc": (32, 36), "nmc_s": (0.9, 1.1), "lic6": (0, 0.01), "lic12": (0, 0.1), "lic30": (1, 8)},
    "aaa-discharged-c20": {"nmc": (32, 36), "nmc_s": (0.9, 1.1), "lic6": (0, 0.01), "lic12": (0, 0.1), "lic30": (1, 8)},
}


@pytest.mark.parametrize(("name", "seed"), [*((name, 1) for name in PUBLISHED), ("aaa-charged-c2", 5)])
def test_a_published_cell_holds_the_published_parts_by_weight(name: str, seed: int) -> None:
    sample = published(name, seed)
    masses = {material: float(sample.density_of(material).sum()) for material in CRYSTALLINE}
    percent = {material: 100 * mass / sum(masses.values()) for material, mass in masses.items()}
    share = sample.density_of("nmc_s") / sum(sample.density_of(material) for material in CRYSTALLINE).clip(min=1e-6)

    for material, (least, most) in PUBLISHED_PERCENT[name].items():
        assert least <= percent[material] <= most, f"{material} {percent[material]:.2f}"
    assert share.max() > 0.20


def test_the_published_cells_hold_the_published_lithium() -> None:
    """Of what takes part; one part in twenty of the anode has no partner and stays empty."""
    for name, (x, y) in {"aaa-charged-c2": (0.567, 0.42), "aaa-charged-c20": (0.714, 0.32)}.items():
        sample = published(name, 1)
        stages = {stage: sample.density_of(stage).astype(float) / grams_per_c6(stage) for stage in STAGES}
        active = sum(amount.sum() for stage, amount in stages.items() if stage != "graphite")
        found_x = sum(LITHIUM_X[stage] * amount.sum() for stage, amount in stages.items()) / active
        mass = sample.density_of("nmc").astype(float)
        assert found_x == pytest.approx(x, abs=0.002)
        assert np.nansum(sample.lithium_y * mass) / mass.sum() == pytest.approx(y, abs=0.006)


def test_the_charged_cells_hold_the_published_ratio_of_lic6_to_lic12() -> None:
    for name, wanted in (("aaa-charged-c2", 3.4 / 21.1), ("aaa-charged-c20", 10.5 / 13.4)):
        sample = published(name, 1)
        ratio = sample.density_of("lic6").sum() / sample.density_of("lic12").sum()
        assert ratio == pytest.approx(wanted, rel=0.05)


def test_the_discharged_cells_keep_lithium_where_they_lag() -> None:
    sample = published("aaa-discharged-c2", 1)
    axis = sample.axis_mm
    radius = np.hypot(axis[:, np.newaxis], axis)
    anode = np.isfinite(sample.lithium_x)

    assert (
        sample.lithium_x[anode & (radius > 4.4)].mean() > 1.6 * sample.lithium_x[anode & (radius > 2) & (radius < 3.5)].mean()
    )


def test_the_truth_of_a_cell_at_rest_tells_the_voltage_that_is_served_beside_it(tmp_path) -> None:
    profile = read_profile("demo")
    cell = profile.cell.model_copy(update={"source": "model:cccv", "start_s": 100.0, "speed": 10.0})
    profile = profile.model_copy(update={"cell": cell})
    recording = open_recording(profile)[0]
    now_s = time.time()
    state = make_history(profile, out=tmp_path, begun_s=now_s).cell_at(now_s + 50.0)

    assert state["recorded_s"] == pytest.approx(600.0)
    assert state["voltage_v"] == pytest.approx(np.interp(600.0, recording.time_s, recording.voltage_v))
    assert make_history(profile).cell_at(now_s) == {}


SCENARIOS = sorted(str(path.parent.relative_to(profiles_folder())) for path in profiles_folder().rglob("profile.toml"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_can_be_flown_and_is_shown_in_minutes(name: str) -> None:
    profile = read_profile(name)
    rehearsal = dry_run(profile)

    assert rehearsal.complaints == ()
    if profile.twin is not None and not name.endswith("/full"):
        assert rehearsal.programme.duration_s < 240


def test_at_true_size_most_pixels_between_the_rings_count_nothing() -> None:
    profile = read_profile("aaa-charged-c2/full")
    pulse = Pulse(number=1, time_s=0, exposure_s=profile.scan.exposure_s, fast_mm=1.0, angle_deg=30.0, beam=1.0)
    frame = make_frame_source(profile).frame(pulse, image_id=0)
    counts = frame[pixel_mask(profile) == 0]

    assert np.median(counts) == 0
    assert counts.mean() == pytest.approx(0.4, rel=0.5)
    assert counts.max() > 20


def test_every_scenario_names_a_sample_that_there_is() -> None:
    for path in profiles_folder().glob("*/profile.toml"):
        twin = read_profile(str(path)).twin
        # Without one it is a real beamline.
        assert twin is None or twin.sample in (*SAMPLES, *PUBLISHED, *WORKING)


def test_a_working_sample_moves_with_the_clock_of_its_run(tmp_path) -> None:
    profile = read_profile("18650-1c")
    profile = profile.model_copy(update={"twin": profile.twin.model_copy(update={"sample": "small-cell"})})
    profile = profile.model_copy(
        update={"cell": profile.cell.model_copy(update={"source": "pybamm:small-2c", "start_s": 0.0, "speed": 1.0})}
    )
    history = make_history(profile, out=tmp_path)
    now_s = time.time()
    early, same, late = (history.slice_at(now_s + later_s) for later_s in (0.0, 5.0, 1500.0))

    assert early is same
    assert np.nanmean(late.lithium_x) > np.nanmean(early.lithium_x) + 0.3
    assert np.nanmean(late.lithium_y) < np.nanmean(early.lithium_y) - 0.2
    assert history.cell_at(now_s + 1500.0)["voltage_v"] > history.cell_at(now_s)["voltage_v"]


def drawn(source: SampleFrames, profile: Profile, *, order: Sequence[int], n_threads: int) -> list[bytes]:
    """Give frames of pulses a quarter of an hour apart, in the order of the pulses, drawn in another from several threads."""

    def frame(number: int) -> bytes:
        pulse = Pulse(
            number=number, time_s=1e9 + 900.0 * number, exposure_s=profile.scan.exposure_s, fast_mm=0.3 * number - 0.6,
            angle_deg=25.0 * number, beam=1.0,
        )  # fmt: skip
        return source.frame(pulse, image_id=0).tobytes()

    with ThreadPoolExecutor(n_threads) as pool:
        frames = dict(zip(order, pool.map(frame, order), strict=True))
    return [frames[number] for number in sorted(frames)]


def test_frames_of_a_deep_textured_cell_do_not_depend_on_order_or_threads() -> None:
    profile = read_profile("aaa-charged-c2")
    source = SampleFrames(profile, begun_s=1e9)
    one, other = (drawn(source, profile, order=order, n_threads=n) for order, n in (((0, 1, 2, 3), 1), ((3, 1, 0, 2), 3)))

    assert profile.twin.effects.texture
    assert one == other
    assert len(set(one)) == len(one)


def test_frames_of_a_working_cell_depend_on_when_it_began_and_on_nothing_else() -> None:
    profile = with_settings(
        read_profile("demo"), ["twin.sample=small-cell", "cell.source=pybamm:small-2c", "cell.start_s=0", "cell.speed=1"]
    )
    one, other, later = (
        drawn(SampleFrames(profile, begun_s=begun_s), profile, order=order, n_threads=n)
        for begun_s, order, n in ((1e9, (0, 1, 2), 1), (1e9, (2, 0, 1), 3), (1e9 - 600.0, (0, 1, 2), 1))
    )

    assert one == other
    assert all(early != late for early, late in zip(one, later, strict=True))


def test_the_pins_are_where_the_documentation_says() -> None:
    sample = make_pins("pins")
    axis = sample.axis_mm
    for material, (x_mm, y_mm) in {"al": (1.5, 0.5), "cu": (-0.5, 1.2)}.items():
        density = sample.density_of(material)
        assert density.sum(axis=0) @ axis / density.sum() == pytest.approx(x_mm, abs=0.005)
        assert density.sum(axis=1) @ axis / density.sum() == pytest.approx(y_mm, abs=0.005)
