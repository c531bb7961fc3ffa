import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bluesky import RunEngine

from operando.messages import LineAborted, LineAnnounced, LineFlown, RunStarted, RunStopped


def pixels(beamline: Any) -> dict[tuple[int, int], Any]:
    """Bind frames to pixels as the join does: by the announcement of the attempt that flew."""
    flown = {(one.line, one.attempt) for one in beamline.messages(LineFlown)}
    bound = {}
    for line in beamline.messages(LineAnnounced):
        for frame in beamline.frames:
            index = frame.image_id - line.first_image_id
            if frame.series == line.series and 0 <= index < line.n_points and (line.line, line.attempt) in flown:
                assert (line.line, index) not in bound
                bound[line.line, index] = frame
    return bound


def assert_whole_tomogram(beamline: Any) -> None:
    """Every pixel has one frame, taken with beam where the plan and LineFlown say."""
    bound = pixels(beamline)
    n_points = beamline.layout.flight.n_points
    flown = {one.line: one for one in beamline.messages(LineFlown)}
    for line in beamline.layout.lines:
        planned = line.planned_mm(n_points)
        for index in range(n_points):
            frame = bound[line.index, index]
            assert frame.has_beam
            assert frame.angle_deg == line.angle_deg
            assert frame.fast_mm == pytest.approx(planned[index], abs=1e-9)
            assert flown[line.index].positions_mm[index] == pytest.approx(frame.fast_mm, abs=1e-9)
    assert len(bound) == beamline.layout.n_frames


def assert_at_rest(beamline: Any) -> None:
    devices = beamline.devices
    assert devices.shutter.status.get() == 0
    assert not devices.detector.is_armed
    assert not devices.trigger.is_armed
    assert not devices.fast.is_moving
    assert devices.fast.velocity.get() == beamline.profile.control.fast.speed


def test_every_pixel_has_one_frame_and_the_run_succeeds(beamline: Any, run: Callable[..., Any]) -> None:
    result = run(beamline)
    assert_whole_tomogram(beamline)
    assert_at_rest(beamline)
    assert beamline.messages(RunStopped)[0].exit_status == result.exit_status == "success"
    assert beamline.messages(RunStarted)[0].run == result.run_start_uids[0]
    assert beamline.devices.detector.n_armings == 1


def test_line_is_announced_before_its_first_frame_and_told_after_its_last(beamline: Any, run: Callable[..., Any]) -> None:
    run(beamline)
    place = {id(one): number for number, one in enumerate(beamline.seen)}
    bound = pixels(beamline)
    for announced, flown in zip(beamline.messages(LineAnnounced), beamline.messages(LineFlown), strict=True):
        frames = [place[id(frame)] for (line, _), frame in bound.items() if line == announced.line]
        assert place[id(announced)] < min(frames)
        assert max(frames) < place[id(flown)]


def test_lines_zig_zag_and_keep_one_series(beamline: Any, run: Callable[..., Any]) -> None:
    run(beamline)
    announced = beamline.messages(LineAnnounced)
    assert [one.direction for one in announced] == [1, -1, 1]
    assert [one.first_image_id for one in announced] == [0, 5, 10]
    assert len({one.series for one in announced}) == 1


def test_line_tells_angle_ring_current_and_cell_of_its_time(beamline: Any, run: Callable[..., Any]) -> None:
    run(beamline)
    flown = beamline.messages(LineFlown)[1]
    assert flown.angle_deg == 60.0
    assert flown.ring_current_ma == 100.0
    assert flown.cell.voltage_v == 3.7
    assert flown.start_s < flown.end_s


def test_box_without_capture_gives_computed_positions_and_says_so(beamline: Any, run: Callable[..., Any]) -> None:
    beamline.devices.trigger.captures = False
    run(beamline)
    flown = beamline.messages(LineFlown)
    assert {one.positions_source for one in flown} == {"computed"}
    np.testing.assert_allclose(flown[1].positions_mm, beamline.layout.lines[1].planned_mm(5))


def test_frames_are_documented_as_streams_and_lines_as_events(beamline: Any, run: Callable[..., Any]) -> None:
    run(beamline)
    indices = [one["indices"] for one in beamline.documents("stream_datum")]
    assert indices == [{"start": 5 * i, "stop": 5 * i + 5} for i in range(3)]
    assert len(beamline.documents("stream_resource")) == 1
    assert {one["name"] for one in beamline.documents("descriptor")} == {"baseline", "frames", "gates", "lines"}


@pytest.mark.parametrize(
    "fault",
    [
        lambda devices: setattr(devices.trigger, "loses", 2),
        lambda devices: setattr(devices.detector, "misses", 1),
        lambda devices: setattr(devices.detector, "doubles", 1),
        lambda devices: setattr(devices.fast, "gets_stuck", 1),
        lambda devices: setattr(devices.rotation, "gets_stuck", 1),
    ],
    ids=["gates lost", "image missed", "image too many", "fast axis stuck", "rotation stuck"],
)
def test_line_with_a_fault_flies_again_in_a_new_series(
    beamline: Any, run: Callable[..., Any], fault: Callable[[Any], None]
) -> None:
    fault(beamline.devices)
    run(beamline)
    assert_whole_tomogram(beamline)
    assert_at_rest(beamline)
    assert beamline.devices.detector.n_armings == 2
    assert len(beamline.messages(LineAborted)) == len(beamline.messages(LineAnnounced)) - 3


def test_an_axis_that_fails_before_the_others_are_sent_costs_one_attempt_and_not_the_next(
    beamline: Any, engine: RunEngine
) -> None:
    fast, moves = beamline.devices.fast, []
    fast.gets_stuck, move = 1, fast.set

    def set_(position: float) -> Any:
        moves.append(position)
        if len(moves) == 2:
            # In the next attempt the way takes its time: nothing of the first may end the wait for it.
            fast.may_arrive.clear()
            threading.Timer(0.3, fast.may_arrive.set).start()
        status = move(position)
        deadline = time.monotonic() + 20
        while len(moves) == 1 and not status.done and time.monotonic() < deadline:
            time.sleep(0.001)
        return status

    fast.set = set_
    engine(beamline.plan(), beamline.announcer.document)
    assert_whole_tomogram(beamline)
    assert beamline.devices.detector.n_armings == 2


def test_line_that_fails_every_time_ends_the_run_in_order(beamline: Any, run: Callable[..., Any]) -> None:
    beamline.devices.detector.misses = 1000
    with pytest.raises(RuntimeError, match="line 0 failed 3 times, at last: 0 images, wanted 5"):
        run(beamline)
    assert_at_rest(beamline)
    assert [one.attempt for one in beamline.messages(LineAborted)] == [0, 1, 2]
    stopped = beamline.messages(RunStopped)[0]
    assert stopped.exit_status == "fail"
    assert "wanted 5" in stopped.reason


def test_scan_beyond_what_the_beamline_allows_opens_no_run(beamline: Any, run: Callable[..., Any]) -> None:
    beamline.devices.fast.limit = 0.1
    with pytest.raises(Exception, match="cannot be flown as the beamline stands: fast"):
        run(beamline)
    assert beamline.seen == []


def test_axis_that_is_too_slow_opens_no_run(beamline: Any, run: Callable[..., Any]) -> None:
    beamline.devices.fast.max_speed.put(1.0)
    with pytest.raises(Exception, match="does at most 1 a second, this scan wants 5"):
        run(beamline)
    assert beamline.seen == []


def test_everything_labelled_baseline_is_documented_before_the_first_line_and_after_the_last(
    run: Callable[..., Any], beamline: Any
) -> None:
    run(beamline)
    descriptor = next(one for one in beamline.documents("descriptor") if one["name"] == "baseline")
    assert "baseline_ring_current" in descriptor["data_keys"]
    events = [one for one in beamline.documents("event") if one["descriptor"] == descriptor["uid"]]
    assert [one["seq_num"] for one in events] == [1, 2]
