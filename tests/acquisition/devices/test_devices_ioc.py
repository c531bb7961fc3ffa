"""The ophyd devices over the simulated beamline: what they refuse, when they are done, and what they do at a pause."""

import threading
import time

import bluesky.plan_stubs as bps
import numpy as np
import pytest
import zmq
from bluesky import RunEngine
from bluesky.utils import RunEngineInterrupted
from ophyd import EpicsMotor
from ophyd.utils import LimitError

from acquisition.devices.beamline import make_devices
from acquisition.devices.trigger import GateTrain
from acquisition.twin.cable import Pulse
from acquisition.workspace import Workspace
from operando.errors import ServiceError

pytestmark = pytest.mark.ioc

SPEED_MM_S = 4.0
STEP_MM = 0.1
EXPOSURE_S = 0.02


@pytest.fixture
def engine():
    return RunEngine({}, context_managers=[])


@pytest.fixture
def cable(beamline):
    socket = zmq.Context.instance().socket(zmq.PULL)
    socket.linger = 0
    socket.connect(beamline.twin.cable)
    time.sleep(0.1)
    yield socket
    socket.close()


def wait_for(is_true, deadline_s=20.0):
    end = time.monotonic() + deadline_s
    while not is_true():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.02)


def pulses_of(cable):
    pulses = []
    while cable.poll(200 if pulses else 5000):
        pulses.append(Pulse.model_validate_json(cable.recv()))
    return pulses


def stands(axis):
    """Where the record says that the axis stands, now: a monitored value may still be on its way."""
    return axis.user_readback.get(use_monitor=False)


def fly(devices, *, direction, n_points=11, capture=True):
    """Sweep one line with the plan's own geometry, and give the centres that were planned."""
    first_mm, run_up_mm = -0.5 * (n_points - 1) * STEP_MM * direction, 0.8
    train = GateTrain(
        start=first_mm - direction * SPEED_MM_S * EXPOSURE_S / 2,
        direction=direction,
        n_pulses=n_points,
        period_s=STEP_MM / SPEED_MM_S,
        exposure_s=EXPOSURE_S,
        capture=capture,
    )
    devices.fast.velocity.set(SPEED_MM_S).wait(30)
    devices.fast.set(first_mm - direction * run_up_mm).wait(30)
    devices.trigger.prepare(train).wait(30)
    devices.trigger.kickoff().wait(30)
    complete, moved = devices.trigger.complete(), devices.fast.set(-first_mm + direction * run_up_mm)
    complete.wait(30)
    moved.wait(30)
    return first_mm + direction * STEP_MM * np.arange(n_points)


def test_ophyds_own_motor_moves_keeps_to_the_limits_and_stops(at_start):
    motor = EpicsMotor(at_start.hexapod.x.prefix, name="motor")
    motor.wait_for_connection(timeout=20)
    assert motor.limits == (-10.0, 10.0)
    motor.set(0.8).wait(30)
    assert motor.user_readback.get(use_monitor=False) == pytest.approx(0.8, abs=0.002)
    with pytest.raises(LimitError):
        motor.set(10.1)
    motor.velocity.set(1.0).wait(30)
    status = motor.set(5.0)
    motor.stop()
    wait_for(lambda: status.done)
    assert motor.user_readback.get(use_monitor=False) < 4.9


def test_a_move_is_done_when_the_axis_stands_at_its_target(at_start):
    at_start.fast.set(1.5).wait(30)
    assert stands(at_start.fast) == pytest.approx(1.5, abs=0.002)
    at_start.rotation.set(12.0).wait(30)
    assert stands(at_start.rotation) == pytest.approx(12.0, abs=0.005)


def test_a_position_outside_the_limits_is_refused_before_anything_is_put(at_start):
    with pytest.raises(LimitError):
        at_start.fast.set(8.1)
    assert at_start.fast.user_setpoint.get(use_monitor=False) == 0.0


def test_a_position_outside_the_reach_is_refused_before_anything_is_put(at_start):
    at_start.hexapod.u.set(5.0).wait(30)
    with pytest.raises(LimitError, match="reach at its tilt is 5 mm"):
        at_start.fast.set(6.0)
    assert at_start.fast.user_setpoint.get(use_monitor=False) == 0.0


def test_one_axis_can_be_sent_the_moment_another_has_arrived(at_start):
    for turn in range(4):
        for axis in (at_start.fast, at_start.hexapod.x):
            axis.set(0.2 * (turn + 1)).wait(30)
            assert stands(axis) == pytest.approx(0.2 * (turn + 1), abs=0.002)


def test_a_move_that_the_controller_refuses_fails_with_what_was_found_and_wanted(at_start, monkeypatch):
    monkeypatch.setattr(at_start.hexapod, "workspace", Workspace(reach_mm=1000.0, tilt_deg=1000.0))
    at_start.hexapod.u.set(8.0).wait(30)
    status = at_start.fast.set(7.5)
    with pytest.raises(RuntimeError, match=r"stands at 0 mm, wanted 7\.5"):
        status.wait(30)


def test_a_move_that_someone_else_stops_is_no_success(at_start):
    at_start.fast.velocity.set(1.0).wait(30)
    status = at_start.fast.set(5.0)
    time.sleep(0.3)
    at_start.hexapod.x.motor_stop.put(1, wait=True)
    with pytest.raises(RuntimeError, match="wanted 5 within"):
        status.wait(30)


def test_a_pause_in_a_move_closes_the_shutter_and_resuming_ends_where_it_should(at_start, engine):
    at_start.fast.velocity.set(1.0).wait(30)
    opened = []

    def plan():
        yield from bps.checkpoint()
        yield from bps.mv(at_start.shutter, 1)
        yield from bps.checkpoint()
        yield from bps.mv(at_start.fast, 3.0)
        opened.append(at_start.shutter.is_open)

    def pause_on_the_way():
        wait_for(lambda: at_start.fast.position > 0.2)
        engine.request_pause()

    pausing = threading.Thread(target=pause_on_the_way)
    pausing.start()
    with pytest.raises(RunEngineInterrupted):
        engine(plan())
    pausing.join()
    wait_for(lambda: not at_start.shutter.is_open)
    assert at_start.fast.position < 2.9
    engine.resume()
    assert stands(at_start.fast) == pytest.approx(3.0, abs=0.002)
    assert opened == [True]
    # The end of a plan stops, thus closes, the shutter.
    wait_for(lambda: not at_start.shutter.is_open)


def test_a_shutter_that_a_plan_left_open_is_not_opened_by_a_later_resume(at_start, monkeypatch):
    at_start.shutter.set(1).wait(30)
    at_start.shutter.stop()
    monkeypatch.setattr("acquisition.devices.shutter.PAUSE_S", 0.05)
    wait_for(lambda: not at_start.shutter.is_open)
    time.sleep(0.1)
    at_start.shutter.pause()
    at_start.shutter.resume()
    time.sleep(0.1)
    assert not at_start.shutter.is_open


@pytest.mark.parametrize("direction", [1, -1])
def test_captured_positions_are_the_planned_points_in_both_directions(at_start, cable, direction):
    at_start.shutter.set(1).wait(30)
    planned = fly(at_start, direction=direction)
    captured = at_start.trigger.read_positions()
    assert np.allclose(captured, planned, atol=1e-4)
    assert np.allclose(np.diff(at_start.trigger.read_times()), STEP_MM / SPEED_MM_S, atol=1e-6)
    pulses = pulses_of(cable)
    assert np.allclose([pulse.fast_mm for pulse in pulses], captured)
    assert np.array_equal(np.diff([pulse.number for pulse in pulses]), np.ones(10))
    assert all(pulse.beam == pytest.approx(1.0, abs=0.01) for pulse in pulses)


def test_there_is_no_beam_behind_a_closed_shutter(at_start, cable):
    fly(at_start, direction=1)
    assert [pulse.beam for pulse in pulses_of(cable)] == [0.0] * 11


def test_box_watches_and_captures_the_rotation_when_it_is_told(at_start, cable):
    devices = at_start
    devices.rotation.velocity.set(20.0).wait(30)
    train = GateTrain(axis="rotation", start=3.0, direction=1, n_pulses=5, period_s=0.05, exposure_s=0.02)
    try:
        devices.trigger.prepare(train).wait(30)
        devices.trigger.kickoff().wait(30)
        complete, moved = devices.trigger.complete(), devices.rotation.set(12.0)
        complete.wait(30)
        moved.wait(30)
    finally:
        devices.rotation.velocity.set(90.0).wait(30)
    # The middle of a gate lies 0.2 degree after its edge, the next one a degree on.
    assert np.allclose(devices.trigger.read_positions(), 3.2 + np.arange(5), atol=0.02)
    assert np.allclose([pulse.angle_deg for pulse in pulses_of(cable)], devices.trigger.read_positions())
    fly(devices, direction=1)
    assert devices.trigger.axis.get() == 0, "the next line is of the fast axis again"


def test_without_capture_the_box_gives_times_and_no_positions(at_start):
    fly(at_start, direction=1, capture=False)
    assert at_start.trigger.read_positions().size == 0
    assert at_start.trigger.read_times().size == 11


def test_a_train_that_is_disarmed_fails_with_the_gates_given(at_start):
    train = GateTrain(start=1.0, direction=1, n_pulses=5, period_s=0.05, exposure_s=0.02)
    at_start.trigger.prepare(train).wait(30)
    at_start.trigger.kickoff().wait(30)
    status = at_start.trigger.complete()
    at_start.trigger.is_armed.put(0)
    with pytest.raises(RuntimeError, match="0 of 5 gates"):
        status.wait(30)


def test_a_train_that_cannot_be_given_does_not_arm(at_start, monkeypatch):
    monkeypatch.setattr("acquisition.devices.trigger.TIMEOUT_S", 0.5)
    train = GateTrain(start=1.0, direction=1, n_pulses=5, period_s=0.01, exposure_s=0.02)
    at_start.trigger.prepare(train).wait(30)
    with pytest.raises(TimeoutError, match="did not arm"):
        at_start.trigger.kickoff().wait(30)


def test_a_shutter_demand_other_than_open_or_closed_is_refused(at_start):
    with pytest.raises(ValueError, match="wanted 1"):
        at_start.shutter.set(2)


def test_a_missing_beamline_is_said_in_bounded_time_with_names(ca_port, tmp_path, make_test_profile):
    nobody = make_test_profile(tmp_path, port=ca_port, prefix="NOBODY:")
    started_s = time.monotonic()
    with pytest.raises(ServiceError, match=r"NOBODY:.*start the beamline"):
        make_devices(nobody, timeout_s=1.0, needs_detector=False)
    assert time.monotonic() - started_s < 120


def test_a_server_that_dies_in_a_move_ends_the_move_with_its_name_and_can_come_back(
    ca_port, tmp_path, make_test_profile, serve_process
):
    profile = make_test_profile(tmp_path, port=ca_port + 2, prefix="VICTIM:", cable=f"tcp://127.0.0.1:{ca_port + 5}")
    process = serve_process("acquisition.twin.beamline", profile)
    victim = make_devices(profile, needs_detector=False)
    victim.fast.velocity.set(1.0).wait(30)
    status = victim.fast.set(7.0)
    time.sleep(0.2)
    process.kill()
    process.wait()
    process.stdout.close()
    with pytest.raises(ServiceError, match="lost VICTIM:HEX:Z"):
        status.wait(30)
    serve_process("acquisition.twin.beamline", profile)
    deadline = time.monotonic() + 60
    while not all(device.connected for device in victim.epics):
        assert time.monotonic() < deadline, "the devices did not connect again"
        time.sleep(0.05)
    victim.fast.set(1.0).wait(30)
