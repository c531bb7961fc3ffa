"""What spoils a frame: each effect on and off, from the same exposure."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from acquisition.twin.cable import Pulse
from acquisition.twin.camera import direct_beam_m
from acquisition.twin.misalignment import true_s_mm
from acquisition.twin.optics import make_optics
from acquisition.twin.render import MASKED
from acquisition.twin.sample import make_frame_source, pixel_mask
from operando.profile import Effects, Profile, read_profile

GOOD = pixel_mask(read_profile("demo")) == 0


def demo(**effects: object) -> Profile:
    profile = read_profile("demo")
    assert profile.twin is not None
    twin = profile.twin.model_copy(update={"sample": "ceo2", "effects": Effects(**effects)})
    return profile.model_copy(update={"twin": twin})


def pulse(number: int = 1, **given: float) -> Pulse:
    values = {"time_s": 0.0, "exposure_s": 0.03905, "fast_mm": 0.0, "angle_deg": 30.0, "beam": 1.0, **given}
    return Pulse(number=number, **values)


def frame(profile: Profile, one: Pulse) -> np.ndarray:
    return make_frame_source(profile).frame(one, image_id=0)


@pytest.fixture(scope="module")
def clean() -> np.ndarray:
    return frame(demo(), pulse())


def test_zingers_hit_few_pixels_hard_and_leave_the_rest(clean: np.ndarray) -> None:
    hit = frame(demo(zingers=20.0), pulse())
    changed = (hit != clean) & GOOD

    assert 10 <= np.count_nonzero(changed) <= 80
    assert hit[changed].max() > clean[GOOD].max()
    assert np.array_equal(hit == MASKED, ~GOOD)


def test_blemishes_do_not_depend_on_order_or_threads() -> None:
    source = make_frame_source(demo(zingers=5.0, grains=100, bad_pixels=1e-4))
    pulses = [pulse(number) for number in range(4)]
    forwards = [source.frame(one, image_id=0).tobytes() for one in pulses]
    with ThreadPoolExecutor(2) as pool:
        backwards = list(pool.map(lambda one: source.frame(one, image_id=0).tobytes(), reversed(pulses)))

    assert backwards[::-1] == forwards


def test_bad_pixels_are_dead_or_hot_and_not_in_the_mask(clean: np.ndarray) -> None:
    spoiled = frame(demo(bad_pixels=1e-3), pulse())
    bright = clean > 3

    dead = bright & GOOD & (spoiled == 0)
    assert np.count_nonzero(dead) == pytest.approx(1e-3 * np.count_nonzero(bright & GOOD), rel=0.3)
    assert np.count_nonzero((spoiled > clean + 20) & GOOD) == pytest.approx(1e-4 * np.count_nonzero(GOOD), rel=0.3)
    assert np.array_equal(spoiled == MASKED, ~GOOD)


def test_the_beam_stop_shades_its_disc_and_its_arm(clean: np.ndarray) -> None:
    shaded = frame(demo(beam_stop_mm=8.0), pulse())
    camera = make_optics(demo()).camera
    row, column = (at / camera.pixel_m - 0.5 for at in direct_beam_m(camera))
    rows, columns = np.indices(GOOD.shape)
    away_mm = np.hypot(rows - row, columns - column) * 0.172
    aside_mm = np.abs(columns - column) * 0.172

    assert np.all(shaded[GOOD & ((away_mm < 7.7) | ((aside_mm < 1.7) & (rows < row)))] == 0)
    is_free = GOOD & (away_mm > 8.3) & ((aside_mm > 2.3) | (rows > row))
    assert shaded[is_free].mean() == pytest.approx(clean[is_free].mean(), rel=0.05)
    assert np.count_nonzero(shaded[is_free] == 0) < 1.1 * np.count_nonzero(clean[is_free] == 0)


def test_saturated_pixels_stop_at_the_detectors_largest_count() -> None:
    profile = demo(saturation=True)
    profile = profile.model_copy(update={"detector": profile.detector.model_copy(update={"saturation_counts": 12})})

    assert frame(profile, pulse())[GOOD].max() == 12


def test_without_noise_every_pixel_holds_its_rounded_mean(clean: np.ndarray) -> None:
    quiet = frame(demo(noise=False), pulse())

    assert np.array_equal(quiet, frame(demo(noise=False), pulse(number=9)))
    assert quiet[GOOD].mean() == pytest.approx(clean[GOOD].mean(), rel=0.05)


def test_large_grains_flash_at_few_angles() -> None:
    source, without = (make_frame_source(demo(grains=n)) for n in (300, 0))
    spots = [
        np.count_nonzero(
            np.abs(source.frame(pulse(1, angle_deg=a), 0).astype(int) - without.frame(pulse(1, angle_deg=a), 0)) > 30
        )
        for a in (0.0, 45.0, 90.0)
    ]

    assert min(spots) > 0
    assert max(spots) < 0.01 * GOOD.size


def s_of(one: Pulse, **effects: float) -> float:
    return true_s_mm(one, centre_mm=0.2, effects=Effects(**effects))


def test_the_place_of_the_beam_is_the_readbacks_unless_something_is_wrong() -> None:
    assert s_of(pulse(fast_mm=1.5)) == pytest.approx(1.3)


def test_each_misalignment_adds_what_it_says() -> None:
    assert s_of(pulse(fast_mm=1.5), axis_offset_mm=0.1) == pytest.approx(1.2)
    assert s_of(pulse(fast_mm=1.5, fast_mm_s=2.0), gate_delay_s=0.01) == pytest.approx(1.32)
    assert s_of(pulse(fast_mm=1.5, fast_mm_s=-2.0), gate_delay_s=0.01) == pytest.approx(1.28)
    assert s_of(pulse(time_s=150.0), drift_mm=0.03) - s_of(pulse(time_s=0.0), drift_mm=0.03) == pytest.approx(0.03)


def test_run_out_has_no_part_that_a_displaced_sample_could_have() -> None:
    angles = np.radians(np.arange(360))
    s = np.array([s_of(pulse(angle_deg=float(np.degrees(a))), wobble_mm=0.01) for a in angles])

    assert np.ptp(s) > 0.01
    assert abs(s @ np.cos(angles)) + abs(s @ np.sin(angles)) < 1e-9
