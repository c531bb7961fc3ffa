"""A pause, suspension, abort or halt at any message of the plan."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any

import pytest
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted

from operando.messages import LineAborted, LineAnnounced, LineFlown, RunStarted, RunStopped
from tests.acquisition.plans.conftest import place_in

Interrupt = Callable[[RunEngine], Coroutine[Any, Any, None]]


async def pause(engine: RunEngine) -> None:
    await engine._request_pause_coro(defer=False)


async def abort(engine: RunEngine) -> None:
    await engine._abort_coro("somebody said so")


async def halt(engine: RunEngine) -> None:
    await engine._halt_coro()


async def suspend(engine: RunEngine) -> None:
    beam_is_back = asyncio.Event()
    engine.request_suspend(beam_is_back.wait)
    engine.loop.call_later(0.01, beam_is_back.set)


def fly(engine: RunEngine, beamline: Any, *, at: int, interrupt: Interrupt) -> None:
    """Run the plan and interrupt it as its message number ``at`` is processed."""
    n_messages = 0

    def hook(message: Any) -> None:
        nonlocal n_messages
        n_messages += 1
        if n_messages == at:
            engine.loop.create_task(interrupt(engine))

    engine.msg_hook = hook
    try:
        engine(beamline.plan(), beamline.announcer.document)
    except RunEngineInterrupted:
        if engine.state == "paused":
            engine.resume()
    finally:
        engine.msg_hook = None


def assert_whole_and_once(beamline: Any) -> None:
    """Every pixel of every flown line has one frame, at its place and with beam; every announced line has one end."""
    flown = {(one.line, one.attempt) for one in beamline.messages(LineFlown)}
    aborted = {(one.line, one.attempt) for one in beamline.messages(LineAborted)}
    announced = {(one.line, one.attempt): one for one in beamline.messages(LineAnnounced)}
    assert set(announced) == flown | aborted
    assert not flown & aborted
    assert sorted(line for line, _ in flown) == [line.index for line in beamline.layout.lines]
    for key in flown:
        line = announced[key]
        ids = range(line.first_image_id, line.first_image_id + line.n_points)
        frames = {one.image_id: one for one in beamline.frames if one.series == line.series and one.image_id in ids}
        planned = beamline.layout.lines[line.line].planned_mm(line.n_points)
        assert [frames[image_id].fast_mm for image_id in ids] == pytest.approx(planned, abs=1e-9)
        assert all(frame.has_beam and frame.angle_deg == line.angle_deg for frame in frames.values())


def assert_at_rest(beamline: Any) -> None:
    devices = beamline.devices
    assert devices.shutter.status.get() == 0
    assert not devices.detector.is_armed
    assert not devices.trigger.is_armed
    assert not devices.fast.is_moving
    assert devices.fast.velocity.get() == beamline.profile.control.fast.speed


@pytest.fixture(scope="module")
def places(engine: RunEngine, small_beamline: Callable[[], Any]) -> list[int]:
    """The numbers of the undisturbed plan's messages, of each place in its code that gives one the first."""
    seen: dict[Hashable, int] = {}
    n_messages = 0
    beamline = small_beamline()
    plan = beamline.plan()

    def note(message: Any) -> None:
        nonlocal n_messages
        n_messages += 1
        seen.setdefault((message.command, *place_in(plan)), n_messages)

    engine.msg_hook = note
    engine(plan, beamline.announcer.document)
    engine.msg_hook = None
    assert n_messages > 60
    assert len(seen) > 40
    # The RunEngine itself cannot be suspended at a plan's last messages; suspenders are removed before (xrdct).
    return [number for number in seen.values() if number < n_messages - 5]


# A pause is tried at every place; a suspension, whose ways through the plan are the same, and an end (test_safe_ends) at some.
@pytest.mark.parametrize(("interrupt", "every"), [(pause, 1), (suspend, 3)])
def test_pause_or_suspension_at_any_place_costs_no_pixel_and_gives_none_twice(
    engine: RunEngine, small_beamline: Callable[[], Any], places: list[int], interrupt: Interrupt, every: int
) -> None:
    n_repeated = 0
    for at in places[::every]:
        beamline = small_beamline()
        fly(engine, beamline, at=at, interrupt=interrupt)
        assert_whole_and_once(beamline)
        assert_at_rest(beamline)
        assert beamline.messages(RunStopped)[0].exit_status == "success"
        n_repeated += len(beamline.messages(LineAborted))
    assert n_repeated > 6 / every


@pytest.mark.parametrize(("interrupt", "every"), [(abort, 4), (halt, 2)])
def test_abort_or_halt_leaves_the_beamline_safe(
    engine: RunEngine, small_beamline: Callable[[], Any], places: list[int], interrupt: Interrupt, every: int
) -> None:
    for at in places[::every]:
        beamline = small_beamline()
        fly(engine, beamline, at=at, interrupt=interrupt)
        assert_at_rest(beamline)
        ends = {(one.line, one.attempt) for kind in (LineFlown, LineAborted) for one in beamline.messages(kind)}
        assert ends == {(one.line, one.attempt) for one in beamline.messages(LineAnnounced)}
        assert len(beamline.messages(RunStopped)) == len(beamline.messages(RunStarted))


def test_pause_in_mid_line_gives_a_new_series_and_a_new_attempt(engine: RunEngine, small_beamline: Callable[[], Any]) -> None:
    beamline = small_beamline()

    def hook(message: Any) -> None:
        is_sweep = message.command == "set" and message.obj is beamline.devices.fast
        if is_sweep and len(beamline.messages(LineAnnounced)) == 2:
            engine.msg_hook = None
            engine.loop.create_task(pause(engine))

    engine.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        engine(beamline.plan(), beamline.announcer.document)
    assert beamline.devices.shutter.status.get() == 0
    engine.resume()
    announced = [(one.line, one.attempt, one.series, one.first_image_id) for one in beamline.messages(LineAnnounced)]
    assert announced == [(0, 0, 101, 0), (1, 0, 101, 3), (1, 1, 102, 0)]
    assert "paused" in beamline.messages(LineAborted)[0].reason
    assert_whole_and_once(beamline)


def test_deferred_pause_waits_for_the_end_of_the_line(engine: RunEngine, small_beamline: Callable[[], Any]) -> None:
    beamline = small_beamline()

    def hook(message: Any) -> None:
        if message.command == "complete":
            engine.msg_hook = None
            engine.loop.create_task(engine._request_pause_coro(defer=True))

    engine.msg_hook = hook
    with pytest.raises(RunEngineInterrupted):
        engine(beamline.plan(), beamline.announcer.document)
    assert len(beamline.messages(LineFlown)) == 1
    assert not beamline.devices.detector.is_armed
    engine.resume()
    assert beamline.messages(LineAborted) == []
    assert [one.series for one in beamline.messages(LineAnnounced)] == [101, 102]
    assert_whole_and_once(beamline)
