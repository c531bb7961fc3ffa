"""The simulated beamline as any Channel Access client sees it, through pyepics alone."""

import threading
import time

import epics
import numpy as np
import pytest

from acquisition.twin.beamline import Beamline, serve
from acquisition.twin.platform import make_clock
from acquisition.twin.trigger_box import Cable
from operando.errors import ProfileError, ServiceError

pytestmark = pytest.mark.ioc


class Monitor:
    """Keeps every value of a process variable with the server's time."""

    def __init__(self, name):
        self.seen = []
        self.pv = epics.PV(name, callback=self._note, auto_monitor=True)
        assert self.pv.wait_for_connection(timeout=10), name

    def _note(self, value=None, timestamp=None, **_):
        self.seen.append((timestamp, value))

    @property
    def values(self):
        return [value for _, value in self.seen]

    def wait_for(self, value, timeout_s=10):
        deadline = time.monotonic() + timeout_s
        while self.pv.value != value:
            assert time.monotonic() < deadline, f"{self.pv.pvname} is {self.pv.value}, wanted {value}"
            time.sleep(0.005)


@pytest.fixture
def open_cable():
    cable = Cable("tcp://127.0.0.1:*")
    yield cable
    cable.close()


def put(name, value, **how):
    assert epics.caput(name, value, timeout=10, **how) is not None


@pytest.fixture
def fast(at_start, beamline):
    return beamline.control.fast.pv


def test_the_speed_is_within_one_percent_by_the_clock_of_an_observer(fast):
    readback, done = Monitor(f"{fast}.RBV"), Monitor(f"{fast}.DMOV")
    put(f"{fast}.VELO", 1.826, wait=True)
    arrivals = []
    readback.pv.add_callback(lambda value=None, **_: arrivals.append((time.monotonic(), value)))
    put(f"{fast}.VAL", 4.0)
    done.wait_for(0)
    done.wait_for(1)
    when_s, where = np.array([(t, x) for t, x in arrivals if 0.5 < x < 3.5]).T
    speed = np.polyfit(when_s, where, 1)[0]
    assert speed == pytest.approx(1.826, rel=0.01)
    assert len(where) > 20, "a line through a few readbacks says little"


def test_a_put_callback_returns_when_the_axis_is_there(fast):
    put(f"{fast}.VAL", 2.0, wait=True)
    assert epics.caget(f"{fast}.RBV", use_monitor=False) == pytest.approx(2.0, abs=1e-3)


def test_a_demand_outside_the_limits_is_refused_and_restored(fast):
    put(f"{fast}.VAL", 8.5, wait=True)
    assert epics.caget(f"{fast}.LVIO", use_monitor=False) == 1
    assert epics.caget(f"{fast}.VAL", use_monitor=False) == 0.0
    put(f"{fast}.VAL", 0.1, wait=True)
    assert epics.caget(f"{fast}.LVIO", use_monitor=False) == 0


def test_all_axes_of_the_platform_share_one_moving_flag(fast, beamline):
    others = [Monitor(f"{pv}.DMOV") for pv in beamline.control.hexapod_axes.values() if pv != fast]
    stage = Monitor(f"{beamline.control.rotation.pv}.DMOV")
    put(f"{fast}.VAL", 1.0, wait=True)
    for other in others:
        other.wait_for(1)
        assert 0 in other.values
    assert 0 not in stage.values


def test_the_velocity_of_one_axis_is_that_of_all_and_never_above_the_maximum(fast, beamline):
    put(f"{beamline.control.hexapod_axes['Y']}.VELO", 3.25, wait=True)
    assert {epics.caget(f"{pv}.VELO", use_monitor=False) for pv in beamline.control.hexapod_axes.values()} == {3.25}
    put(f"{fast}.VELO", 1000.0, wait=True)
    assert epics.caget(f"{fast}.VELO", use_monitor=False) == epics.caget(f"{fast}.VMAX") == 10.0


def test_stop_ends_a_move_on_its_way_and_the_demand_follows(fast):
    done = Monitor(f"{fast}.DMOV")
    put(f"{fast}.VELO", 1.0, wait=True)
    put(f"{fast}.VAL", 6.0)
    done.wait_for(0)
    time.sleep(0.3)
    put(f"{fast}.STOP", 1, wait=True)
    done.wait_for(1)
    where = epics.caget(f"{fast}.RBV", use_monitor=False)
    assert 0.05 < where < 3.0
    assert epics.caget(f"{fast}.VAL", use_monitor=False) == pytest.approx(where, abs=1e-3)


def test_what_lies_within_limits_but_out_of_reach_is_refused_by_the_controller(fast, beamline):
    put(f"{beamline.control.hexapod_axes['U']}.VAL", 8.0, wait=True)
    put(f"{fast}.VAL", 7.5, wait=True)
    assert epics.caget(f"{fast}.RBV", use_monitor=False) == 0.0
    assert epics.caget(f"{fast}.MSTA", use_monitor=False) & 0x200


def test_a_lost_beam_is_seen_and_comes_back(fast, beamline):
    ring = beamline.control.ring_current
    current = Monitor(ring)
    dump = f"{ring.rpartition(':')[0]}:DUMP"
    put(dump, 1, wait=True)
    current.wait_for(0.0)
    put(dump, 0, wait=True)
    assert epics.caget(ring, use_monitor=False) > 99.0
    assert 0 <= epics.caget(beamline.control.topup_countdown, use_monitor=False) <= 300


def test_a_port_that_is_taken_is_said_before_anything_is_served(beamline, tmp_path):
    with pytest.raises(ServiceError, match=f"port {beamline.control.channel_access_port} .*is taken"):
        serve(
            beamline.model_copy(update={"twin": beamline.twin.model_copy(update={"cable": "tcp://127.0.0.1:*"})}),
            out=tmp_path,
            ready=lambda: pytest.fail("ready"),
            stop=threading.Event(),
        )


def test_a_cable_that_is_taken_is_said_before_anything_is_served(beamline, tmp_path):
    with pytest.raises(ServiceError, match="trigger cable"):
        serve(beamline, out=tmp_path, ready=lambda: pytest.fail("ready"), stop=threading.Event())


def test_a_real_beamline_is_not_simulated(beamline, tmp_path):
    real = beamline.model_copy(update={"twin": None})
    with pytest.raises(ProfileError, match="no section twin"):
        serve(real, out=tmp_path, ready=lambda: pytest.fail("ready"), stop=threading.Event())


def test_a_beamline_without_a_hexapod_has_a_fast_axis_of_its_own(make_test_profile, tmp_path, open_cable):
    profile = make_test_profile(tmp_path, port=5064, hexapod_axes={})
    pvs = Beamline(profile, time_scale=1.0, cable=open_cable, clock=make_clock()).pvs
    assert {name for name in pvs if "HEX" in name} == {profile.control.fast.pv}


def test_a_hexapod_axis_of_an_unknown_name_is_refused(make_test_profile, tmp_path, open_cable):
    axes = {"Z": "OPR:HEX:Z", "Q": "OPR:HEX:Q"}
    profile = make_test_profile(tmp_path, port=5064, hexapod_axes=axes)
    with pytest.raises(ProfileError, match=r"hexapod_axes\.Q: unknown axis"):
        Beamline(profile, time_scale=1.0, cable=open_cable, clock=make_clock())


@pytest.mark.parametrize(("state", "duration_s"), [("Armed", 0.3), ("Running", 0.3), ("Idle", 0.075), ("Done", 0.075)])
def test_only_moves_that_are_not_measured_are_hurried(make_test_profile, tmp_path, open_cable, state, duration_s):
    profile = make_test_profile(tmp_path, port=5064)
    simulated = Beamline(profile, time_scale=4.0, cable=open_cable, clock=lambda: 0.0)
    simulated.box.state = state
    simulated.fast.platform.go(simulated.fast_axis, 2.0)
    assert simulated.fast.platform.trajectory.end_s == pytest.approx(duration_s)
