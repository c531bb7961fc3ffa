"""A simulated beamline in its own process, with a profile on free ports; one for all tests of a session.

``OPERANDO_PREFIX`` points the tests at a beamline that runs already, with process variables of that prefix; EPICS_CA_ADDR_LIST
must say where. What needs a simulated cable or a limit of the profile here then fails, and tells how that beamline differs.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acquisition.channel_access import use_as_client
from acquisition.devices.beamline import BeamlineDevices, make_devices
from operando.profile import Profile, write_profile

RING_PORT = 12
"""After the first port: where a storage ring of others serves its variables."""

N_PORTS = 14
"""Ports in a row: beamline, cell bridge, a second beamline with its bridge, repeater, ring, and some that nobody serves."""

SERVE = """
import importlib, sys
from pathlib import Path
from operando.process import stop_on_signals
from operando.profile import read_profile
stop = stop_on_signals()
module = importlib.import_module(sys.argv[1])
module.serve(read_profile(sys.argv[2]), out=Path(sys.argv[3]), ready=lambda: print("ready", flush=True), stop=stop)
"""


def make_profile(
    folder: Path, *, port: int, prefix: str = "OPR:", cable: str = "tcp://127.0.0.1:*", **control: object
) -> Profile:
    """Give a small profile whose beamline is simulated; ``control`` overrides keys of that section."""
    axes = {axis: f"{prefix}HEX:{axis}" for axis in "XYZUVW"}
    rotation = {
        "pv": f"{prefix}ROT",
        "unit": "deg",
        "low": -10,
        "high": 370,
        "speed": 90,
        "acceleration_s": 0.1,
        "tolerance": 0.005,
    }
    fast = {"pv": axes["Z"], "unit": "mm", "low": -8, "high": 8, "speed": 10, "acceleration_s": 0.1, "tolerance": 0.002}
    return Profile.model_validate(
        {
            "name": "test",
            "detector": {
                "model": "Pilatus CdTe 2M",
                "n_rows": 1679,
                "n_columns": 1475,
                "pixel_m": 172e-6,
                "readout_s": 0.95e-3,
                "rest": f"http://127.0.0.1:{port + 7}",
                "stream": f"tcp://127.0.0.1:{port + 8}",
            },
            "geometry": {"poni": "geometry.poni"},
            "integration": {"q_min": 1.0, "q_max": 6.0, "n_radial": 500},
            "control": {
                "fast": fast,
                "rotation": rotation,
                "hexapod_axes": axes,
                "hexapod_reach_mm": 10.0,
                "hexapod_tilt_deg": 10.0,
                "shutter": f"{prefix}SHUTTER",
                "trigger": f"{prefix}TRIG",
                "ring_current": f"{prefix}RING:CURRENT",
                "topup_countdown": f"{prefix}RING:COUNTDOWN",
                "cell": f"{prefix}CELL",
                "channel_access_port": port,
                **control,
            },
            "scan": {"n_lines": 4, "n_points": 11, "step_mm": 0.1, "exposure_s": 0.02},
            "phases": [{"name": "graphite", "label": "graphite", "cif": "graphite.cif"}],
            "cell": {"source": "model:cccv"},
            "twin": {"sample": "none", "cable": cable},
            "folder": folder,
        }
    )


@pytest.fixture(scope="session")
def make_test_profile() -> Callable[..., Profile]:
    """Make profiles of other simulated beamlines."""
    return make_profile


@pytest.fixture(scope="session")
def ca_port() -> int:
    """The first of several free ports in a row; Channel Access of this process is pointed at all of them before it starts."""
    for first in range(10000 + 40 * (os.getpid() % 500), 32000, N_PORTS):
        if all(_is_free(first + offset) for offset in range(N_PORTS)):
            use_as_client([first + offset for offset in (*range(4), RING_PORT)])
            return first
    pytest.fail(f"no {N_PORTS} free ports in a row")


@pytest.fixture(scope="session")
def serve_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, Profile], "subprocess.Popen[str]"]]:
    """Start the ``serve`` of a module with a profile in a process of its own, and return when it is ready.

    What a test leaves running ends with the session, or when the same is started again: a test that has a second try finds its
    port free.
    """
    started: list[subprocess.Popen[str]] = []
    serving: dict[tuple[str, int], subprocess.Popen[str]] = {}

    def start(module: str, profile: Profile) -> "subprocess.Popen[str]":
        folder = tmp_path_factory.mktemp("served")
        write_profile(profile, folder / "profile.toml")
        place = (module, profile.control.channel_access_port)
        if place in serving:
            serving[place].kill()
            serving[place].wait()
        command = [sys.executable, "-c", SERVE, module, str(folder), str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
        started.append(process)
        serving[place] = process
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "ready":
                return process
        pytest.fail(f"{module} ended with {process.wait()} before it was ready")

    yield start
    for process in started:
        end_process(process)


@pytest.fixture(scope="session")
def beamline_profile(ca_port: int, tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """The profile of the session's beamline."""
    port, cable_port = ca_port, ca_port + 6
    prefix = os.environ.get("OPERANDO_PREFIX", "OPR:")
    return make_profile(tmp_path_factory.mktemp("profile"), port=port, prefix=prefix, cable=f"tcp://127.0.0.1:{cable_port}")


@pytest.fixture(scope="session")
def beamline(beamline_profile: Profile, serve_process: Callable[[str, Profile], "subprocess.Popen[str]"]) -> Iterator[Profile]:
    """The session's simulated beamline, running; gives its profile."""
    if "OPERANDO_PREFIX" in os.environ:
        yield beamline_profile
        return
    process = serve_process("acquisition.twin.beamline", beamline_profile)
    yield beamline_profile
    end_process(process)


@pytest.fixture(scope="session")
def devices(beamline: Profile) -> BeamlineDevices:
    """The devices of the session's beamline, but for detector and cell, which nobody serves there."""
    return make_devices(beamline, needs_detector=False)


@pytest.fixture
def at_start(devices: BeamlineDevices) -> BeamlineDevices:
    """The devices with everything at zero, shutter closed, trigger box idle and the platform at its normal speed."""
    devices.trigger.stop()
    devices.shutter.set(0).wait(30)
    devices.fast.velocity.set(10.0).wait(30)
    for axis in (*(devices.hexapod.axes.values() if devices.hexapod else [devices.fast]), devices.rotation):
        if abs(axis.user_readback.get(use_monitor=False)) > axis.tolerance:
            axis.set(0.0).wait(30)
    return devices


def end_process(process: "subprocess.Popen[str]") -> int:
    """End a process as the supervisor does, and give its exit status."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(timeout=60)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True
