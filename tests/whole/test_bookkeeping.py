"""From the plan to the map in one process: a pause, a suspension and a lost frame each cost the pixels they touched, no more.

A real RunEngine flies a fake beamline, whose frames go through the real join, line files and analysis. Positions are exact and
patterns without noise, so that maps can be compared bit by bit.
"""

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from numpy.typing import NDArray

from operando.messages import LineAborted, LineFlown, Message
from operando.profile import Profile
from tests.acquisition.plans.conftest import TEST_STEP_MM, FakeBeamline
from tests.streaming.phantom import Disc, Phantom, demo_profile
from tests.whole.rejoining import rejoined

N_LINES, N_POINTS = 12, 25
DISCS = (
    Disc(x=0.0, y=0.0, radius=0.1, amounts={"al": 0.15}),
    Disc(x=0.02, y=0.03, radius=0.04, amounts={"graphite": 0.2, "lic12": 0.8}),
    Disc(x=-0.04, y=-0.02, radius=0.04, amounts={"lic12": 0.5, "lic6": 0.7}),
)


@dataclass(kw_only=True)
class Outcome:
    """What a scan came to."""

    beamline: FakeBeamline
    x: NDArray[np.float32]
    mass: NDArray[np.float64]
    is_measured: NDArray[np.bool_]
    dropped: set[tuple[int, int]] = field(default_factory=set)
    """(line, grid point) of the frames that were lost."""


@pytest.fixture(scope="module")
def profile() -> Profile:
    demo = demo_profile()
    scan = {"n_lines": N_LINES, "n_points": N_POINTS, "step_mm": TEST_STEP_MM, "exposure_s": 0.001, "order": "sequential"}
    return demo.model_copy(update={"scan": demo.scan.model_copy(update=scan)})


@pytest.fixture(scope="module")
def phantom(profile: Profile) -> Phantom:
    return Phantom(profile, discs=DISCS)


@pytest.fixture(scope="module")
def run_engine() -> RunEngine:
    return RunEngine({}, context_managers=[], call_returns_result=True)


@pytest.fixture(scope="module")
def scan(
    profile: Profile, phantom: Phantom, run_engine: RunEngine, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Outcome]:
    """Fly a scan with disturbances at given messages, and analyse it with the images of given pixels lost."""

    def fly(
        disturbances: dict[int, Callable[[RunEngine], None]] | None = None, dropped: set[tuple[int, int]] | None = None
    ) -> Outcome:
        beamline = FakeBeamline(profile=profile)
        n_messages = 0

        def hook(_: Any) -> None:
            nonlocal n_messages
            n_messages += 1
            if disturbances and n_messages in disturbances:
                disturbances[n_messages](run_engine)

        run_engine.msg_hook = hook
        try:
            run_engine(beamline.plan(), beamline.announcer.document)
        except RunEngineInterrupted:
            while run_engine.state == "paused":
                try:
                    run_engine.resume()
                except RunEngineInterrupted:
                    continue
        finally:
            run_engine.msg_hook = None
        lost = dropped or set()
        found = rejoined(beamline.seen, phantom, tmp_path_factory.mktemp("out"), dropped=lost)
        return Outcome(beamline=beamline, x=found.x, mass=found.mass, is_measured=found.is_measured, dropped=lost)

    return fly


def pause(engine: RunEngine) -> None:
    engine.loop.create_task(engine._request_pause_coro(defer=False))


def suspend(engine: RunEngine) -> None:
    back = asyncio.Event()
    engine.request_suspend(back.wait)
    engine.loop.call_later(0.02, back.set)


@pytest.fixture(scope="module")
def undisturbed(scan: Callable[..., Outcome]) -> Outcome:
    return scan()


def test_the_undisturbed_scan_has_every_pixel_and_a_map(undisturbed: Outcome) -> None:
    assert undisturbed.is_measured.shape == (N_LINES, N_POINTS)
    assert undisturbed.is_measured.all()
    assert np.isfinite(undisturbed.x).sum() > 20
    assert undisturbed.beamline.messages(LineAborted) == []


def disturbed_at(seed: int) -> dict[int, Callable[[RunEngine], None]]:
    """Give two pauses and two suspensions at random messages of the scan."""
    dice = random.Random(seed)
    at = sorted(dice.sample(range(20, 250), 4))
    kinds = [pause, suspend, pause, suspend]
    dice.shuffle(kinds)
    return dict(zip(at, kinds, strict=True))


@pytest.mark.parametrize("seed", range(3))
def test_pauses_and_suspensions_leave_the_map_as_it_would_have_been(
    scan: Callable[..., Outcome], undisturbed: Outcome, seed: int
) -> None:
    found = scan(disturbed_at(seed))
    attempts: list[Message] = found.beamline.messages(LineAborted)
    assert len(found.beamline.messages(LineFlown)) == N_LINES
    assert len(found.beamline.frames) > N_LINES * N_POINTS or not attempts
    np.testing.assert_array_equal(found.x, undisturbed.x)
    np.testing.assert_array_equal(found.mass, undisturbed.mass)
    assert found.is_measured.all()


@pytest.fixture(scope="module")
def lost() -> set[tuple[int, int]]:
    dice = random.Random(11)
    return {(dice.randrange(N_LINES), dice.randrange(1, N_POINTS - 1)) for _ in range(5)}


@pytest.fixture(scope="module")
def with_losses(scan: Callable[..., Outcome], lost: set[tuple[int, int]]) -> Outcome:
    return scan(dropped=lost)


def test_lost_frames_cost_exactly_their_pixels(with_losses: Outcome, undisturbed: Outcome, lost: set[tuple[int, int]]) -> None:
    missing = {(int(line), int(point)) for line, point in np.argwhere(~with_losses.is_measured)}
    assert missing == lost
    kept = with_losses.is_measured
    np.testing.assert_allclose(with_losses.mass[kept], undisturbed.mass[kept], rtol=1e-12)
    # Without this the comparison could not fail.
    assert not np.array_equal(with_losses.x, undisturbed.x, equal_nan=True)


def test_lost_frames_in_a_scan_that_was_disturbed_cost_the_same_pixels(
    scan: Callable[..., Outcome], with_losses: Outcome, lost: set[tuple[int, int]]
) -> None:
    found = scan(disturbed_at(7), dropped=lost)
    np.testing.assert_array_equal(found.is_measured, with_losses.is_measured)
    np.testing.assert_array_equal(found.x, with_losses.x)


def test_a_frame_of_an_aborted_attempt_is_in_no_map(scan: Callable[..., Outcome], undisturbed: Outcome) -> None:
    found: Iterator[Outcome] = (scan(disturbed_at(seed)) for seed in range(20, 30))
    with_aborts = next(one for one in found if one.beamline.messages(LineAborted))
    aborted = {(one.line, one.attempt) for one in with_aborts.beamline.messages(LineAborted)}
    flown = {(one.line, one.attempt) for one in with_aborts.beamline.messages(LineFlown)}
    assert not aborted & flown
    np.testing.assert_array_equal(with_aborts.x, undisturbed.x)
