"""The storage ring of tickit-devices, software that we did not write, tops up and loses its beam in the middle of scans."""

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from acquisition.channel_access import use_beamline
from operando.journal import read_journal
from operando.messages import LineAborted, LineFlown, Message, Notice, PlanEnded, RunStopped, ScanState
from operando.profile import Profile
from tests.acquisition.acquiring import Beamtime, acquiring, command, end, of
from tests.acquisition.conftest import RING_PORT
from tests.judges.judging import tickit

pytestmark = [
    pytest.mark.ioc,
    pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable"),
]

N_LINES = 8
FILL_S = 1.5
PERIOD_S = 0.2
"""In which the ring tells what it does, twice."""
TOPPED_UP_MA, LOW_MA, LOSS_MA_S = 300.0, 270.0, 0.05
CURRENT, COUNTDOWN = "SR-DI-DCCT-01:SIGNAL", "SR-CS-FILL-01:COUNTDOWN"
# The top-up looks at the current when that has changed; between two changes it would divide by nothing (0.4.1).
CONFIGURATION = """
- type: tickit_devices.synchrotron.synchrotron_current.SynchrotronCurrent
  name: current
  inputs: {{}}
  callback_period: 100000000
  initial_current: 300
  port: {0}
- type: tickit_devices.synchrotron.synchrotron_topup.SynchrotronTopUp
  name: topup
  inputs: {{current: {{component: current, port: current}}}}
  callback_period: 1000000000000000
  port: {1}
"""


class Ring:
    """The running ring, whose current is set as its operators would."""

    def __init__(self, port: int) -> None:
        self._port = port

    def set_current(self, current_ma: float) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=20) as operators:
            operators.sendall(f"C={current_ma:.3f}".encode())


@pytest.fixture(scope="module")
def ring(ca_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ring]:
    port = str(ca_port + RING_PORT)
    environment = {
        "EPICS_CA_SERVER_PORT": port,
        "EPICS_CAS_SERVER_PORT": port,
        "EPICS_CAS_INTF_ADDR_LIST": "127.0.0.1",
        "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
        "EPICS_CAS_BEACON_ADDR_LIST": "127.0.0.1:9",
    }
    ports = (ca_port + 4, ca_port + 13)
    with tickit(CONFIGURATION.format(*ports), tmp_path_factory.mktemp("ring"), environment=environment):
        yield Ring(ports[0])


@pytest.fixture(scope="module")
def flown(
    ring: Ring,
    beamline: Profile,
    devices: object,  # first: what pyepics has opened by itself, ophyd cannot use any more in the same process
    ca_port: int,
    serve_process: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[Message], dict[str, Any]]:
    """The journal of two scans, the first through a top-up, the second through a loss of beam; and what was seen."""
    folder = tmp_path_factory.mktemp("geometry")
    control = {"ring_current": CURRENT, "topup_countdown": COUNTDOWN}
    with acquiring(
        beamline, port=ca_port, serve=serve_process, folder=folder, cell={"source": "model:cccv"}, control=control
    ) as beamtime:
        scan = beamtime.profile.scan.model_copy(update={"begin": "on_command", "n_lines": N_LINES})
        process = serve_process("acquisition.session", beamtime.profile.model_copy(update={"scan": scan}))
        try:
            seen = {"countdown": through_a_topup(beamtime, ring), "shutter": through_a_loss_of_beam(beamtime, ring)}
        finally:
            assert end(process) == 0
    return read_journal(Path(str(process.args[-1])) / "journal.jsonl"), seen


def through_a_topup(beamtime: Beamtime, ring: Ring) -> list[tuple[float, float]]:
    """Fly a scan while the ring is topped up, and give when the countdown stood where."""
    use_beamline(beamtime.profile)
    from epics import PV

    seen: list[tuple[float, float]] = []
    watched = PV(COUNTDOWN, auto_monitor=True, callback=lambda value, timestamp, **_: seen.append((timestamp, float(value))))
    assert command(beamtime, "start", plan="xrdct").accepted
    beamtime.follow(lambda found: bool(of(LineFlown, found)))
    ring.set_current(LOW_MA + 3.0 * LOSS_MA_S)
    until(lambda: seen[-1][1] == 0 and time.time() - seen[-1][0] > FILL_S)
    ring.set_current(TOPPED_UP_MA)
    beamtime.follow(lambda found: bool(of(PlanEnded, found)))
    watched.disconnect()
    return seen


def through_a_loss_of_beam(beamtime: Beamtime, ring: Ring) -> int:
    """Fly a scan while the ring loses its beam, and give how the shutter stood meanwhile."""
    from epics import caget

    shutter = f"{beamtime.profile.control.shutter}:STATUS"
    assert command(beamtime, "start", plan="xrdct").accepted
    beamtime.follow(lambda found: len(of(LineFlown, found)) > N_LINES)
    assert caget(shutter) == 1, "before the beam is lost"
    ring.set_current(1.0)
    beamtime.follow(lambda found: any(one.state == "suspended" for one in of(ScanState, found)))
    until(lambda: caget(shutter) == 0)
    found = caget(shutter)
    ring.set_current(TOPPED_UP_MA)
    beamtime.follow(lambda found: len(of(PlanEnded, found)) == 2)
    return int(found)


def filling(countdown: list[tuple[float, float]]) -> tuple[float, float]:
    """Give when the ring began and ended to be filled: the countdown is told when it changes, and stands at 0 meanwhile."""
    at = next(number for number, (_, value) in enumerate(countdown) if value == 0)
    return countdown[at][0], countdown[at + 1][0]


def until(is_true: Callable[[], bool], *, within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_top_up_falls_between_two_lines(flown: tuple[list[Message], dict[str, Any]]) -> None:
    journal, seen = flown
    run = of(RunStopped, journal)[0].run
    lines = [one for one in of(LineFlown, journal) if one.run == run]
    begin_s, end_s = filling(seen["countdown"])
    assert end_s - begin_s > FILL_S
    before = [one for one in lines if one.end_s <= begin_s + PERIOD_S]
    after = [one for one in lines if one.start_s >= end_s - PERIOD_S]
    assert len(before) + len(after) == N_LINES, "a line flew into the top-up"
    assert before
    assert after
    # None but one that a slow computer began too late: that is given up, and flies again.
    reasons = [one.reason for one in of(LineAborted, journal) if one.run == run]
    assert reasons in ([], ["the top-up began in the line"])
    assert any(one.text == "waiting for the top-up" for one in of(Notice, journal))


def test_lost_beam_closes_the_shutter_and_the_scan_goes_on_when_it_is_back(
    flown: tuple[list[Message], dict[str, Any]],
) -> None:
    journal, seen = flown
    first, second = of(RunStopped, journal)
    assert (first.exit_status, second.exit_status) == ("success", "success")
    assert seen["shutter"] == 0
    suspended = next(one for one in of(ScanState, journal) if one.state == "suspended")
    assert "no beam" in suspended.reason
    assert [one.line for one in of(LineFlown, journal) if one.run == second.run] == list(range(N_LINES))
    assert len([one for one in of(LineAborted, journal) if one.run == second.run]) <= 1
