from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from pyFAI import load
from pyFAI.calibrant import get_calibrant
from scipy import stats

from acquisition.twin.cable import Pulse
from acquisition.twin.noise import HIGHEST_MEAN
from acquisition.twin.render import MASKED, draw_frame
from acquisition.twin.sample import SampleFrames, make_frame_source, pixel_mask
from operando.profile import Profile, read_profile


def demo(**twin: object) -> Profile:
    profile = read_profile("demo")
    assert profile.twin is not None
    return profile.model_copy(update={"twin": profile.twin.model_copy(update=twin)})


def pulse(
    number: int, *, fast_mm: float = 0.0, angle_deg: float = 30.0, beam: float = 1.0, exposure_s: float = 0.03905
) -> Pulse:
    return Pulse(number=number, time_s=0.0, exposure_s=exposure_s, fast_mm=fast_mm, angle_deg=angle_deg, beam=beam)


@pytest.fixture(scope="module")
def source() -> SampleFrames:
    return make_frame_source(demo())


@pytest.fixture(scope="module")
def good() -> np.ndarray:
    return pixel_mask(demo()) == 0


def test_frames_do_not_depend_on_order_or_threads(source: SampleFrames) -> None:
    pulses = [pulse(number, fast_mm=0.3 * number, angle_deg=10 * number) for number in range(6)]
    one_by_one = [source.frame(one, image_id=0).tobytes() for one in pulses]
    with ThreadPoolExecutor(3) as pool:
        backwards = list(pool.map(lambda one: source.frame(one, image_id=99).tobytes(), reversed(pulses)))

    assert backwards[::-1] == one_by_one
    assert len(set(one_by_one)) == len(pulses)


def test_another_seed_gives_other_noise(source: SampleFrames) -> None:
    other = make_frame_source(demo(seed=2, sample="ceo2"))
    same = make_frame_source(demo(seed=1, sample="ceo2"))
    frames = [one.frame(pulse(3), image_id=0) for one in (other, same)]

    assert np.count_nonzero(frames[0] != frames[1]) > 0.1 * frames[0].size


def test_the_level_is_the_profiles(source: SampleFrames, good: np.ndarray) -> None:
    means = [source.frame(pulse(number, angle_deg=22.5 * number), image_id=0)[good].mean() for number in range(8)]

    assert np.mean(means) == pytest.approx(4.0, rel=0.02)


def test_without_beam_nothing_is_counted(source: SampleFrames, good: np.ndarray) -> None:
    assert source.frame(pulse(1, beam=0.0), image_id=0)[good].sum() == 0


def test_counts_grow_with_beam_and_exposure(source: SampleFrames, good: np.ndarray) -> None:
    full = source.frame(pulse(1), image_id=0)[good].sum(dtype=np.int64)
    weak = source.frame(pulse(1, beam=0.5, exposure_s=0.03905 / 2), image_id=0)[good].sum(dtype=np.int64)

    assert weak == pytest.approx(full / 4, rel=2e-3)


def test_masked_pixels_hold_the_maximum_and_no_others(source: SampleFrames, good: np.ndarray) -> None:
    frame = source.frame(pulse(1), image_id=0)

    assert frame.shape == (1679, 1475)
    assert frame.dtype == np.uint32
    assert np.array_equal(frame == MASKED, ~good)


def test_the_mask_has_gaps_dead_and_hot_pixels() -> None:
    mask = pixel_mask(demo())

    assert np.all(mask[195:212] & 1)
    assert set(np.unique(mask)) == {0, 1, 2, 8}


def test_air_is_all_that_is_seen_beside_the_sample(source: SampleFrames, good: np.ndarray) -> None:
    assert 0 < source.frame(pulse(1, fast_mm=2.6), image_id=0)[good].mean() < 0.1


def test_free_running_frames_show_the_middle_and_differ(source: SampleFrames, good: np.ndarray) -> None:
    one, other = (source.frame(None, image_id=image_id) for image_id in (0, 1))

    assert one[good].mean() == pytest.approx(4.0, rel=0.2)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("mean", [0.1, 0.93, 4.2, 30.3, 411.7, 1.4 * HIGHEST_MEAN])
def test_counts_are_poisson(source: SampleFrames, mean: float) -> None:
    """Chi-squared over the counts of one mean: solid angle and polarisation vary by 3 %, so a narrow ring of equal ones."""
    canvas = source.canvas
    frame = draw_frame(canvas, np.full(canvas.grid.two_theta_rad.size, mean), seed=5, exposure=1).ravel()
    weight = (canvas.root_weight.astype(np.float64) * 0.02) ** 2
    ring = np.abs(weight - 0.9985) < 2e-4
    counts = frame[ring]
    expected = mean * weight[ring].mean()
    edges = np.unique(stats.poisson.ppf(np.linspace(0, 1, 42)[1:-1], expected))
    classes = np.searchsorted(edges, counts)
    wanted = np.diff(np.concatenate([[0], stats.poisson.cdf(edges, expected), [1]])) * counts.size
    observed = np.bincount(classes, minlength=wanted.size)
    filled = wanted > 5

    assert counts.size > 10_000
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(expected / counts.size))
    assert counts.var() == pytest.approx(expected, rel=5 * np.sqrt((2 + 1 / expected) / counts.size))
    assert stats.chisquare(observed[filled], wanted[filled] * observed[filled].sum() / wanted[filled].sum()).pvalue > 1e-4


def test_neighbouring_pixels_and_frames_are_independent(source: SampleFrames) -> None:
    canvas = source.canvas
    curve = np.full(canvas.grid.two_theta_rad.size, 4.0)
    frames = [draw_frame(canvas, curve, seed=1, exposure=exposure)[220:400, 500:730] for exposure in (7, 8)]
    one, other = (np.where(frame == MASKED, 4, frame).astype(float) for frame in frames)
    bound = 5 / np.sqrt(one.size)

    assert abs(np.corrcoef(one[:, 1:].ravel(), one[:, :-1].ravel())[0, 1]) < bound
    assert abs(np.corrcoef(one[1:].ravel(), one[:-1].ravel())[0, 1]) < bound
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < bound


def test_the_rings_of_ceria_are_where_pyfai_expects_them(good: np.ndarray) -> None:
    """Centroids of the rings after pyFAI's integration, in pixels of the detector."""
    profile = demo(sample="ceo2", counts_per_pixel=30.0)
    frame = make_frame_source(profile).frame(pulse(1), image_id=0)
    poni = str(profile.path(profile.geometry.poni))
    pixel_deg = np.degrees(172e-6)
    result = load(poni).integrate1d(
        frame,
        4000,
        unit="2th_deg",
        radial_range=(1.5, 6.0),
        mask=~good,
        method=("no", "histogram", "cython"),
        correctSolidAngle=True,
    )
    ceria = get_calibrant("CeO2")
    ceria.wavelength = load(poni).wavelength
    rings = [ring for ring in np.degrees(ceria.get_2th()) if ring < 5.8]

    assert len(rings) >= 8
    for ring in rings:
        near = np.abs(result.radial - ring) < 0.08
        level = np.percentile(result.intensity[near], 10)
        above = np.clip(result.intensity[near] - level, 0, None)
        assert result.radial[near] @ above / above.sum() == pytest.approx(ring, abs=0.1 * pixel_deg)
