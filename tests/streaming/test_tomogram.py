"""From lines to maps: known phantoms recovered, whatever the order of arrival and whatever is missing."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from operando.errors import DataError
from operando.messages import RunStarted
from operando.scan import LineKey
from streaming.line import Line
from streaming.maps import GOOD, OUTSIDE, UNMEASURED, Map, make_maps
from streaming.tomogram import Result, Tomogram
from tests.streaming.phantom import CENTRE_MM, N_LINES, Disc, Phantom, a_run, demo_profile

Array = NDArray[np.float64]
PROFILE = demo_profile()


class LineShelf:
    """Lines by key, as the folder of line files keeps them."""

    def __init__(self) -> None:
        self.lines: dict[LineKey, Line] = {}

    def __call__(self, key: LineKey) -> Line:
        return self.lines[key]


def analysed(phantom: Phantom, lines: list[Line], *, run: RunStarted | None = None) -> Tomogram:
    shelf = LineShelf()
    tomogram = Tomogram(profile=phantom.profile, model=phantom.model, run=run or a_run(), read_again=shelf)
    for line in lines:
        shelf.lines[line.key] = line
        tomogram.add(line)
    return tomogram


def the_result(tomogram: Tomogram) -> Result:
    result = tomogram.result()
    assert result is not None
    return result


def the_map(result: Result, name: str) -> Map:
    return next(found for found in result.maps if found.name == name)


@pytest.fixture(scope="module")
def clean() -> Phantom:
    return Phantom(PROFILE)


@pytest.fixture(scope="module")
def noisy() -> Phantom:
    return Phantom(PROFILE, photons=3000)


@pytest.fixture(scope="module")
def clean_result(clean: Phantom) -> Result:
    return the_result(analysed(clean, [clean.line(i) for i in range(N_LINES)]))


def lithium_of(truth: Array, phantom: Phantom) -> Array:
    moles = np.zeros(truth.shape[:2])
    lithium = np.zeros(truth.shape[:2])
    for k, phase in enumerate(phantom.profile.phases):
        if phase.lithium_x is not None:
            n = truth[..., k] / phantom.model.structures[k].mass_per_c6_dalton
            moles += n
            lithium += n * phase.lithium_x
    return lithium / np.where(moles > 0, moles, np.nan)


def test_lithium_of_known_discs_is_recovered(clean: Phantom, clean_result: Result) -> None:
    truth = lithium_of(clean.truth(clean_result.axis_mm, margin_mm=0.12), clean)
    found = the_map(clean_result, "x_lithium")
    compared = np.isfinite(truth) & (found.reason == GOOD)
    assert compared.sum() > 0.9 * np.isfinite(truth).sum() > 50
    assert np.sqrt(np.mean((found.value - truth)[compared] ** 2)) < 0.01


def test_weight_fractions_of_known_discs_are_recovered(clean: Phantom, clean_result: Result) -> None:
    truth = clean.truth(clean_result.axis_mm, margin_mm=0.12)
    fractions = 100 * truth / np.where(truth.sum(axis=-1) > 0, truth.sum(axis=-1), np.nan)[..., None]
    for k, phase in enumerate(clean.profile.phases):
        found = the_map(clean_result, f"wt_{phase.name}")
        compared = np.isfinite(fractions[..., k]) & (found.reason == GOOD) & (truth.sum(axis=-1) > 0.5)
        assert np.sqrt(np.mean((found.value - fractions[..., k])[compared] ** 2)) < 3.0


def test_amounts_have_one_scale_for_all_phases(clean: Phantom, clean_result: Result) -> None:
    truth = clean.truth(clean_result.axis_mm, margin_mm=0.15)
    scales = []
    for k in range(clean.model.n_phases):
        inside = np.isfinite(truth[..., k]) & (truth[..., k] > 0.4)
        if inside.sum() > 5:
            scales.append(np.mean(clean_result.amounts.phases[..., k][inside] / truth[..., k][inside]))
    assert len(scales) >= 3
    np.testing.assert_allclose(scales, np.mean(scales), rtol=0.03)


def test_what_is_no_electrode_is_masked_with_its_reason(clean: Phantom, clean_result: Result) -> None:
    found = the_map(clean_result, "x_lithium")
    y, x = np.meshgrid(clean_result.axis_mm, clean_result.axis_mm, indexing="ij")
    assert (found.reason[np.hypot(x, y + 0.6) < 0.3] == OUTSIDE).all()
    assert np.isnan(found.value[found.reason != GOOD]).all()
    assert (found.reason[[0, 0, -1, -1], [0, -1, 0, -1]] == UNMEASURED).all()


def test_rotation_centre_is_found_without_being_told(clean_result: Result) -> None:
    assert clean_result.centre_mm == pytest.approx(CENTRE_MM, abs=0.006)
    assert clean_result.estimated_centre_mm == pytest.approx(CENTRE_MM, abs=0.005)


def test_mean_pattern_is_explained_by_its_fit(clean_result: Result) -> None:
    np.testing.assert_allclose(clean_result.mean_fit, clean_result.mean_pattern, rtol=1e-3)


def test_two_cells_give_two_different_correct_maps(clean: Phantom, clean_result: Result) -> None:
    mirrored = tuple(Disc(x=-disc.x, y=disc.y, radius=disc.radius, amounts=disc.amounts) for disc in clean._discs)
    other = Phantom(PROFILE, discs=mirrored)
    found = the_map(the_result(analysed(other, [other.line(i) for i in range(N_LINES)])), "x_lithium")
    expected = the_map(clean_result, "x_lithium").value[:, ::-1]
    both = np.isfinite(found.value) & np.isfinite(expected)
    assert both.sum() > 100
    assert np.sqrt(np.mean((found.value - expected)[both] ** 2)) < 0.02
    assert np.nanmax(np.abs(found.value - expected[:, ::-1])) > 0.2


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(range(N_LINES)))
def test_maps_are_the_same_in_every_order_of_arrival(noisy: Phantom, order: list[int]) -> None:
    lines = {i: noisy.line(i) for i in range(N_LINES)}
    expected = the_result(analysed(noisy, list(lines.values())))
    found = the_result(analysed(noisy, [lines[i] for i in order]))
    for one, other in zip(found.maps, expected.maps, strict=True):
        np.testing.assert_array_equal(one.reason, other.reason)
        np.testing.assert_allclose(one.value, other.value, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(one.sigma, other.sigma, rtol=1e-4, atol=1e-6)


def test_line_flown_again_replaces_the_first_attempt(noisy: Phantom) -> None:
    first = [noisy.line(i) for i in range(N_LINES)]
    again = [noisy.line(i, attempt=1) for i in (0, 5, 17)]
    late_first = [*again, *first]
    only_last = [noisy.line(i, attempt=1 if i in (0, 5, 17) else 0) for i in range(N_LINES)]
    expected = the_map(the_result(analysed(noisy, only_last)), "x_lithium").value
    for lines in ([*first, *again], late_first):
        found = the_result(analysed(noisy, lines))
        np.testing.assert_allclose(the_map(found, "x_lithium").value, expected, rtol=1e-5, atol=1e-6)
        assert [record.key.attempt for record in found.records if record.key.line in (0, 5, 17)] == [1, 1, 1]


@pytest.mark.parametrize("line", [0, 9])
def test_aborted_attempt_counts_for_nothing_even_when_it_is_the_reference(noisy: Phantom, line: int) -> None:
    lines = [noisy.line(i) for i in range(N_LINES)]
    expected = the_map(the_result(analysed(noisy, lines)), "x_lithium").value
    bad = noisy.line((line + 11) % N_LINES)
    tomogram = analysed(noisy, [*lines, _as_attempt(bad, line=line, attempt=1)])
    tomogram.abort(line=line, attempt=1)
    np.testing.assert_allclose(the_map(the_result(tomogram), "x_lithium").value, expected, rtol=1e-5, atol=1e-6)
    tomogram.add(_as_attempt(bad, line=line, attempt=1))
    np.testing.assert_allclose(the_map(the_result(tomogram), "x_lithium").value, expected, rtol=1e-5, atol=1e-6)


def _as_attempt(flown: Line, *, line: int, attempt: int) -> Line:
    values = {name: getattr(flown, name) for name in Line.__slots__}
    return Line(**{**values, "key": LineKey(run=flown.key.run, line=line, attempt=attempt)})


def test_missing_frame_costs_itself_only(clean: Phantom, clean_result: Result) -> None:
    lines = [clean.line(i, missing=(12,) if i == 8 else ()) for i in range(N_LINES)]
    result = the_result(analysed(clean, lines))
    # Line 8 flies upwards: its point 12 is grid point 12.
    assert np.argwhere(~result.is_measured).tolist() == [[8, 12]]
    assert result.records[8].missing_ids == (8 * 31 + 12,)
    whole, holed = the_map(clean_result, "x_lithium"), the_map(result, "x_lithium")
    both = np.isfinite(whole.value) & np.isfinite(holed.value)
    assert np.abs(whole.value - holed.value)[both].max() < 0.03
    assert the_map(result, "coverage").value.min() < the_map(clean_result, "coverage").value.max()


@pytest.mark.parametrize("nothing", [np.nan, np.inf])
def test_pattern_that_says_nothing_is_a_missing_one(clean: Phantom, nothing: float) -> None:
    lines = [clean.line(i) for i in range(N_LINES)]
    said = replace(lines[5], mean=np.where(np.arange(31)[:, None] == 12, np.float32(nothing), lines[5].mean))
    lost = clean.line(5, missing=(12,))
    found, wanted = (the_result(analysed(clean, [*lines[:5], one, *lines[6:]])) for one in (said, lost))
    np.testing.assert_array_equal(found.is_measured, wanted.is_measured)
    np.testing.assert_allclose(found.slice.channels, wanted.slice.channels, rtol=1e-9)


def test_missing_frame_of_a_backward_line_is_at_its_position(clean: Phantom) -> None:
    result = the_result(analysed(clean, [clean.line(7, missing=(3,))]))
    assert np.argwhere(~result.is_measured[7])[:, 0].tolist() == [31 - 1 - 3]


def test_backward_lines_off_by_a_gate_delay_do_not_shear_the_map(clean: Phantom, clean_result: Result) -> None:
    lines = [clean.line(i, offset_mm=0.03 if i % 2 else -0.03) for i in range(N_LINES)]
    found, expected = the_map(the_result(analysed(clean, lines)), "x_lithium"), the_map(clean_result, "x_lithium")
    both = np.isfinite(found.value) & np.isfinite(expected.value)
    assert np.sqrt(np.mean((found.value - expected.value)[both] ** 2)) < 0.02


def test_falling_ring_current_does_not_show(clean: Phantom, clean_result: Result) -> None:
    result = the_result(analysed(clean, [clean.line(i, ring_current_ma=100.0 - i) for i in range(N_LINES)]))
    np.testing.assert_allclose(
        the_map(result, "x_lithium").value, the_map(clean_result, "x_lithium").value, rtol=1e-4, atol=1e-4
    )


def test_predicted_uncertainties_cover_the_scatter_of_repeated_scans(clean_result: Result) -> None:
    inside = dict.fromkeys(("x_lithium", "wt_nmc", "wt_lic12"), 0)
    total = dict.fromkeys(inside, 0)
    for seed in range(6):
        phantom = Phantom(PROFILE, photons=1500, seed=100 + seed)
        result = the_result(analysed(phantom, [phantom.line(i) for i in range(N_LINES)]))
        # Without the scatter between halves, which sees the streaks that repeated scans share.
        amounts = replace(result.amounts, scatter=None)
        maps = make_maps(result.slice, amounts, profile=PROFILE, structures=phantom.model.structures)
        for name in inside:
            found, expected = next(one for one in maps if one.name == name), the_map(clean_result, name)
            compared = (found.reason == GOOD) & (expected.reason == GOOD) & (expected.value > 0.02 * expected.high)
            compared &= the_map(clean_result, "coverage").value > 99
            inside[name] += int((np.abs(found.value - expected.value) < found.sigma)[compared].sum())
            total[name] += int(compared.sum())
    for name in inside:
        assert total[name] > 300
        assert 0.55 < inside[name] / total[name] < 0.85, (name, inside[name] / total[name])


def test_map_is_masked_until_enough_lines_are_there(clean: Phantom) -> None:
    result = the_result(analysed(clean, [clean.line(0), clean.line(18)]))
    assert (the_map(result, "x_lithium").reason == UNMEASURED).all()


def test_lines_that_do_not_belong_are_refused_and_change_nothing(clean: Phantom) -> None:
    tomogram = analysed(clean, [clean.line(i) for i in range(4)])
    before = the_map(the_result(tomogram), "wt_nmc").value
    values = {name: getattr(clean.line(5), name) for name in Line.__slots__}
    with pytest.raises(DataError, match="analyse it with the profile"):
        tomogram.add(Line(**{**values, "q": values["q"] * 1.01}))
    with pytest.raises(DataError, match="is not one of them"):
        tomogram.add(_as_attempt(clean.line(5), line=99, attempt=0))
    np.testing.assert_array_equal(the_map(the_result(tomogram), "wt_nmc").value, before)


def test_line_without_a_single_frame_is_no_obstacle(clean: Phantom) -> None:
    nothing = clean.line(0, missing=tuple(range(31)))
    tomogram = analysed(clean, [clean.line(1), clean.line(2)])
    with pytest.raises(DataError, match="no bin of the first line has counts"):
        tomogram.add(nothing)
    tomogram.add(clean.line(3))
    assert tomogram.n_lines == 3
