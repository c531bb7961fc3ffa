"""``operando.startup`` over real Channel Access: what a session finds, and that plans fly as the dry run says."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import operando
from acquisition.plans.catalogue import CATALOGUE
from acquisition.twin.cable import Pulse
from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.server import SimplonServer
from operando.errors import ProfileError
from operando.journal import read_journal
from operando.messages import Document, LineFlown, PlanEnded, RunStarted, RunStopped
from operando.profile import Profile, read_profile


class Grey:
    """Frames that all look the same."""

    def frame(self, pulse: Pulse | None, image_id: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
        return np.full((16, 16), 1, dtype=np.uint32)


@pytest.fixture
def profile(beamline: Profile, ca_port: int, tmp_path: Path) -> Iterator[Profile]:
    """The profile of the simulated beamline, with a detector."""
    demo = read_profile("demo")
    shutil.copy(demo.path(demo.geometry.poni), tmp_path / "geometry.poni")
    values = {
        **beamline.model_dump(mode="json", exclude_none=True),
        "geometry": {"poni": str(tmp_path / "geometry.poni")},
        "scan": {"n_lines": 3, "n_points": 11, "step_mm": 0.1, "exposure_s": 0.02, "on_backlog": "mark"},
        "addresses": {"journal": "tcp://127.0.0.1:*"},
    }
    made = Profile.model_validate(values)
    head = DetectorHead(pixel_mask=np.zeros((16, 16), dtype=np.uint32))
    assert made.twin is not None
    with SimplonServer(head=head, source=Grey(), rest=made.detector.rest, stream=made.detector.stream, cable=made.twin.cable):
        yield made


def of(kind: type[Any], out: Path) -> list[Any]:
    return [one for one in read_journal(out / "journal.jsonl") if isinstance(one, kind)]


@pytest.mark.ioc
@pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable")
def test_session_finds_engine_devices_and_plans_and_flies_what_the_dry_run_says(profile: Profile, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = operando.startup(profile, out=out)
    try:
        assert set(CATALOGUE) < set(names)
        assert names["fast"].name.startswith("hexapod")
        rehearsed = names["dry_run"]("xrdct", n_lines=2)
        names["RE"](names["xrdct"](n_lines=2), note="hello")
    finally:
        names["close"]()
    (started,), (stopped,) = of(RunStarted, out), of(RunStopped, out)
    assert sum(len(one.positions_mm) for one in of(LineFlown, out)) == rehearsed.programme.n_frames
    assert started.estimated_duration_s == pytest.approx(rehearsed.programme.duration_s)
    # The estimate is no promise on a busy machine, but it must not be far above what was needed.
    assert stopped.time_s - started.time_s > 0.5 * rehearsed.programme.duration_s
    (document,) = (one.document for one in of(Document, out) if one.name == "start")
    assert (document["scan_id"], document["note"]) == (1, "hello")
    assert [(one.plan, one.exit_status) for one in of(PlanEnded, out)] == [("xrdct", "success")]


@pytest.mark.ioc
@pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable")
def test_plan_that_cannot_be_flown_says_so_in_the_journal_too(profile: Profile, tmp_path: Path) -> None:
    names = operando.startup(profile, out=tmp_path / "out")
    try:
        with pytest.raises(ProfileError, match="cannot be flown"):
            names["RE"](names["xrdct"](centre_mm=7.9))
    finally:
        names["close"]()
    assert names["RE"].md["scan_id"] == 0, "the runs of this beamtime are counted from its journal"
    (ended,) = of(PlanEnded, tmp_path / "out")
    assert ended.exit_status == "fail"
    assert "cannot be flown" in ended.reason


def test_importing_touches_no_control_system() -> None:
    check = "import sys, operando, acquisition.workplace; sys.exit(any(name in sys.modules for name in ('ophyd', 'epics')))"
    assert subprocess.run([sys.executable, "-c", check], check=False, timeout=60).returncode == 0


def test_beamline_that_is_only_listened_to_is_not_opened(tmp_path: Path) -> None:
    profile = read_profile("demo")
    listening = profile.model_copy(update={"control": profile.control.model_copy(update={"mode": "listen"})})
    with pytest.raises(ProfileError, match="only listens"):
        operando.startup(listening, out=tmp_path)
