"""Ring, beam shutter and temperatures suspend a scan, which goes on by itself and loses nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from bluesky import RunEngine
from ophyd import Signal

from acquisition.suspenders import make_suspenders
from operando.messages import LineAborted, LineFlown, RunStopped
from operando.profile import Profile

WATCHED = [{"name": "cryostat", "pv": "T:CRYO", "low": 80.0, "high": 120.0, "margin": 5.0}]


@pytest.fixture
def surrounded(small_beamline: Callable[[], Any]) -> Any:
    """A beamline with a beam shutter that others drive, and a cryostat."""
    beamline = small_beamline()
    values = beamline.profile.model_dump()
    values["control"] |= {"beam_shutter": "FE:STATUS", "watched": WATCHED}
    beamline.profile = Profile.model_validate({**values, "folder": beamline.profile.folder})
    beamline.devices.beam_shutter = Signal(name="beam_shutter", value=1)
    beamline.devices.watched = {"cryostat": Signal(name="cryostat", value=100.0)}
    return beamline


@pytest.mark.parametrize(
    ("signal_of", "bad", "nearly", "good"),
    [
        (lambda devices: devices.ring.current, 1.0, 10.2, 100.0),
        (lambda devices: devices.beam_shutter, 0, 0, 1),
        (lambda devices: devices.watched["cryostat"], 130.0, 117.0, 100.0),
        (lambda devices: devices.watched["cryostat"], 70.0, 83.0, 100.0),
    ],
    ids=["ring current", "beam shutter", "too warm", "too cold"],
)
def test_scan_stops_without_beam_on_the_sample_and_ends_whole(
    engine: RunEngine,
    surrounded: Any,
    monkeypatch: pytest.MonkeyPatch,
    signal_of: Callable[[Any], Signal],
    bad: float,
    nearly: float,
    good: float,
) -> None:
    monkeypatch.setattr("acquisition.suspenders.SETTLE_S", 0.01)
    signal, states = signal_of(surrounded.devices), []

    def recover() -> None:
        states.append(engine.state)
        surrounded.devices.shutter.status.get()
        states.append(surrounded.devices.shutter.status.get())
        signal.put(good)

    def hook(message: Any) -> None:
        if message.command == "complete" and signal.get() == good and not states:
            states.append("tripped")
            signal.put(bad)
            engine.loop.call_later(0.05, lambda: signal.put(nearly))
            engine.loop.call_later(0.15, recover)

    engine.msg_hook = hook
    try:
        suspenders = make_suspenders(surrounded.profile, surrounded.devices)
        engine(surrounded.plan(suspenders=suspenders), surrounded.announcer.document)
    finally:
        engine.msg_hook = None
    assert states == ["tripped", "running", 0], "the shutter was closed, and stayed so while it was only nearly good"
    assert sorted(one.line for one in surrounded.messages(LineFlown)) == [0, 1]
    assert len(surrounded.messages(LineAborted)) == 1
    assert [one.exit_status for one in surrounded.messages(RunStopped)] == ["success"]


def test_nothing_is_watched_that_the_profile_does_not_name(small_beamline: Callable[[], Any]) -> None:
    beamline = small_beamline()
    beamline.devices.beam_shutter, beamline.devices.watched = None, {}
    assert len(make_suspenders(beamline.profile, beamline.devices)) == 1
