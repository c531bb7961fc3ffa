"""The server of motors, trigger box and shutter dies in the middle of a line: what is said, and what is found at its return."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acquisition.channel_access import use_beamline
from operando.messages import LineAnnounced, LineFlown, Notice, PlanEnded, RunStopped
from operando.profile import Profile
from tests.acquisition.acquiring import acquiring, end, of

pytestmark = [
    pytest.mark.ioc,
    pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs a server of its own"),
]

OPEN_SHUTTER = """
import asyncio, sys, threading, time
from acquisition.channel_access_server import serve_pvs
from acquisition.twin.records import ShutterRecord
async def main():
    shutter = ShutterRecord(sys.argv[1], clock=time.time)
    await shutter.demand.write(1)
    ready = lambda: print("ready", flush=True)
    pvs = shutter.pvdb
    await serve_pvs(pvs, port=int(sys.argv[2]), work=shutter.run(), ready=ready, stop=threading.Event())
asyncio.run(main())
"""
"""A shutter that its server, started anew, leaves open; nothing else of the beamline."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_beamline_that_dies_in_a_line_fails_the_run_in_words_and_its_shutter_is_closed_when_it_is_back(
    ca_port: int, make_test_profile: Callable[..., Profile], serve_process: Callable[..., Any], tmp_path: Path
) -> None:
    made = make_test_profile(tmp_path, port=ca_port + 2, prefix="LOST:", cable=f"tcp://127.0.0.1:{ca_port + 5}")
    addresses = {"rest": f"http://127.0.0.1:{ca_port + 7}", "stream": f"tcp://127.0.0.1:{ca_port + 8}"}
    lost = made.model_copy(update={"detector": made.detector.model_copy(update=addresses)})
    server = serve_process("acquisition.twin.beamline", lost)
    with acquiring(lost, port=ca_port, serve=serve_process, folder=tmp_path, cell={"source": "model:cccv"}) as beamtime:
        # Lines of five seconds: the server dies in one.
        scan = beamtime.profile.scan.model_copy(update={"n_points": 50, "exposure_s": 0.1, "step_mm": 0.02})
        process = serve_process("acquisition.session", beamtime.profile.model_copy(update={"scan": scan}))
        try:
            beamtime.follow(lambda seen: bool(of(LineAnnounced, seen)))
            server.kill()
            journal = beamtime.follow(lambda seen: bool(of(PlanEnded, seen)), within_s=120)
            (stopped,) = of(RunStopped, journal)
            assert (stopped.exit_status, of(LineFlown, journal)) == ("fail", [])
            assert any(word in stopped.reason for word in ("not connected", "could not connect", "lost", "does not answer"))
            errors = [one.text for one in of(Notice, journal) if one.level == "error"]
            assert any("the shutter could not be closed" in text and "close it by hand" in text for text in errors)
            assert is_closed_again(lost)
        finally:
            assert end(process) == 0


def is_closed_again(profile: Profile) -> bool:
    """Bring the shutter's server back with the shutter open, and tell whether somebody closes it."""
    use_beamline(profile)
    from epics import caget

    shutter, port = profile.control.shutter, profile.control.channel_access_port
    command = [sys.executable, "-c", OPEN_SHUTTER, shutter, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as server:
        try:
            assert server.stdout is not None
            assert any(line.strip() == "ready" for line in server.stdout)
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline:
                if caget(shutter, timeout=2.0) == 0 and caget(f"{shutter}:STATUS", timeout=2.0) == 0:
                    return True
                time.sleep(0.1)
            return False
        finally:
            server.kill()
