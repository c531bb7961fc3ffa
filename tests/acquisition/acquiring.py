"""Everything of a beamtime but the acquisition process, for tests that start that and speak with it."""

import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.server import SimplonServer
from operando.bus.asking import Asker
from operando.bus.client import FeedClient
from operando.messages import CommandAnswered, CommandGiven, Message
from operando.profile import Profile, read_profile
from tests.acquisition.detecting import PulseFrames, Taker

Serve = Callable[[str, Profile], "subprocess.Popen[str]"]


@dataclass
class Beamtime:
    """Everything but the acquisition process, running."""

    profile: Profile
    source: PulseFrames
    taker: Taker
    serve: Serve

    def follow(self, until: Callable[[list[Message]], bool], *, within_s: float = 60.0) -> list[Message]:
        """Follow the journal until what has come satisfies a condition."""
        found: list[Message] = []
        deadline = time.monotonic() + within_s
        with FeedClient(self.profile.addresses.journal) as client:
            while time.monotonic() < deadline:
                found += [entry.message for entry in client.poll(0.1)]
                if until(found):
                    return found
        pytest.fail(f"not seen within {within_s} s: {[one.kind for one in found if one.kind != 'document']}")  # type: ignore[attr-defined]


@contextmanager
def acquiring(
    beamline: Profile, *, port: int, serve: Serve, folder: Path, cell: dict[str, Any], **sections: dict[str, Any]
) -> Iterator[Beamtime]:
    """Start cell bridge and detector at a running beamline.

    Parameters
    ----------
    port
        First of the tests' ports in a row.
    cell
        The profile's section of the cell.
    sections
        Keys of other sections, in place of those of the beamline's profile.
    """
    poni = folder / "geometry.poni"
    demo = read_profile("demo")
    shutil.copy(demo.path(demo.geometry.poni), poni)
    described = beamline.model_dump(mode="json", exclude_none=True)
    profile = Profile.model_validate(
        {
            **described,
            **{name: {**described[name], **keys} for name, keys in sections.items()},
            "geometry": {"poni": str(poni)},
            "scan": {"n_lines": 4, "n_points": 11, "step_mm": 0.1, "exposure_s": 0.02, "on_backlog": "mark"},
            "cell": cell,
            "addresses": {
                "journal": f"tcp://127.0.0.1:{port + 9}",
                "reduction": f"tcp://127.0.0.1:{port + 10}",
                "commands": f"tcp://127.0.0.1:{port + 11}",
            },
        }
    )
    bridge = serve("acquisition.cell.bridge", profile)
    source = PulseFrames()
    head = DetectorHead(pixel_mask=np.zeros((16, 16), dtype=np.uint32))
    assert profile.twin is not None
    with SimplonServer(
        head=head, source=source, rest=profile.detector.rest, stream=profile.detector.stream, cable=profile.twin.cable
    ) as detector:
        taker = Taker(detector.stream_address)
        thread = threading.Thread(target=taker.run)
        thread.start()
        try:
            yield Beamtime(profile=profile, source=source, taker=taker, serve=serve)
        finally:
            # A thread that is left would keep the tests from ending.
            taker.stop.set()
            thread.join(5)
            end(bridge)


def command(beamtime: Beamtime, action: Any, **of_start: Any) -> CommandAnswered:
    """Give a command over the socket, and its answer."""
    asker = Asker(beamtime.profile.addresses.commands)
    asker.ask(CommandGiven(action=action, origin="the test", **of_start))
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            entry = asker.poll()
            if entry is not None:
                assert isinstance(entry.message, CommandAnswered), entry.message
                return entry.message
            time.sleep(0.01)
    finally:
        asker.close()
    pytest.fail("no answer")


def end(process: "subprocess.Popen[str]") -> int:
    process.terminate()
    try:
        return process.wait(timeout=90)
    finally:
        process.kill()
        if process.stdout is not None:
            process.stdout.close()


def of(kind: type[Any], messages: list[Message]) -> list[Any]:
    return [one for one in messages if isinstance(one, kind)]
