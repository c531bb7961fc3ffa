"""Rehearsal and look at the beamline write not one process variable; the Channel Access server itself is the judge."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from acquisition.devices.beamline import make_devices
from acquisition.examine import _of_axis
from acquisition.plans.catalogue import CATALOGUE, make_programme
from acquisition.plans.dry_run import rehearse
from acquisition.plans.station import check_steps
from operando.profile import Profile, write_profile
from operando.profile.surroundings import SignPin

pytestmark = [pytest.mark.ioc, pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs a server of its own")]

SERVE = """
import logging, sys
from pathlib import Path
import caproto
from acquisition.twin.beamline import serve
from operando.process import stop_on_signals
from operando.profile import read_profile
caproto.config_caproto_logging(file=sys.argv[2], level="DEBUG")
stop = stop_on_signals()
def ready():
    # The server quietens its library before it says so.
    logging.getLogger("caproto").setLevel("DEBUG")
    print("ready", flush=True)
serve(read_profile(sys.argv[1]), out=Path(sys.argv[1]), ready=ready, stop=stop)
"""

ARGUMENTS: dict[str, dict[str, object]] = {
    "slice_stack": {"heights_mm": [0.5, 1.0], "axis": "x"},
    "series": {"n_tomograms": 2},
    "sparse_series": {"n_tomograms": 2, "interval_s": 30},
    "point_against_time": {"n_frames": 3},
    "multi_cell": {"cells": [{"name": "a", "pose": {"x": 1.0}}]},
    "air_and_transmission": {"air_mm": 5.0},
    "beam_damage": {"fresh_mm": 2.0, "axis": "x"},
    "continuous_rotation": {"n_angles": 180},
    "densify": {"radius_mm": 0.3},
    "steered": {"x_above": 0.9, "missing_points": 2, "densify_radius_mm": 0.2},
}
WITHOUT_ARGUMENTS = ("xrdct", "single_line", "align", "sign_test", "calibrate", "dark")


def n_writes(log: Path) -> int:
    """Count the writes that clients asked for."""
    return sum("WriteNotifyRequest(" in line or "WriteRequest(" in line for line in log.read_text().splitlines())


def test_every_plan_is_rehearsed_here() -> None:
    assert {*WITHOUT_ARGUMENTS, *ARGUMENTS} == set(CATALOGUE)


def test_every_plan_is_rehearsed_and_checked_without_one_put(
    ca_port: int, make_test_profile: Callable[..., Profile], tmp_path: Path
) -> None:
    made = make_test_profile(tmp_path, port=ca_port + 2, prefix="JUDGE:", cable=f"tcp://127.0.0.1:{ca_port + 5}")
    profile = made.model_copy(update={"sign_pin": SignPin(phase="graphite", x_mm=1.0, y_mm=1.0)})
    write_profile(profile, tmp_path / "profile.toml")
    log = tmp_path / "server.log"
    command = [sys.executable, "-c", SERVE, str(tmp_path), str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as server:
        try:
            assert server.stdout is not None
            assert any(line.strip() == "ready" for line in server.stdout)
            devices = make_devices(profile, needs_detector=False)
            for plan in CATALOGUE:
                rehearsed = rehearse(make_programme(plan, profile, ARGUMENTS.get(plan, {})))
                assert rehearsed.complaints == (), plan
                check_steps(devices, rehearsed.programme)
            assert _of_axis("fast", profile.control.fast, devices.fast) == []
            assert n_writes(log) == 0
            devices.fast.set(0.1).wait(30)
            assert n_writes(log) > 0, "the judge sees a put"
        finally:
            server.terminate()
            server.wait(20)
