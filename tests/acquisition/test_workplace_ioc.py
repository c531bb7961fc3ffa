"""``operando.startup`` over real Channel Access: what a session finds, and that plans fly as the dry run says."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bluesky.utils import RunEngineInterrupted

import operando
from acquisition.plans.catalogue import CATALOGUE
from acquisition.plans.dose import KEV_J
from acquisition.plans.dry_run import DryRun
from acquisition.twin.cable import Pulse
from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.server import SimplonServer
from operando.errors import ProfileError
from operando.journal import read_journal
from operando.messages import Document, LineAnnounced, LineFlown, PlanEnded, RunStarted, RunStopped, ScanState
from operando.profile import Profile, read_profile
from tests.acquisition.detecting import PulseFrames

DOSE = {"flux_photons_s": 1e11, "energy_kev": 60.0, "beam_width_mm": 0.1, "beam_height_mm": 0.1, "absorption_cm2_g": 0.3}


@pytest.fixture
def wet() -> PulseFrames:
    """The detector's frames, which remember each gate."""
    return PulseFrames()


@pytest.fixture
def profile(beamline: Profile, wet: PulseFrames, tmp_path: Path) -> Iterator[Profile]:
    """The profile of the simulated beamline, with a detector."""
    demo = read_profile("demo")
    shutil.copy(demo.path(demo.geometry.poni), tmp_path / "geometry.poni")
    values = {
        **beamline.model_dump(mode="json", exclude_none=True),
        "geometry": {"poni": str(tmp_path / "geometry.poni")},
        "dose": DOSE,
        "scan": {"n_lines": 3, "n_points": 11, "step_mm": 0.1, "exposure_s": 0.02, "on_backlog": "mark"},
        "addresses": {"journal": "tcp://127.0.0.1:*"},
    }
    made = Profile.model_validate(values)
    head = DetectorHead(pixel_mask=np.zeros((16, 16), dtype=np.uint32))
    assert made.twin is not None
    with SimplonServer(head=head, source=wet, rest=made.detector.rest, stream=made.detector.stream, cable=made.twin.cable):
        yield made


def of(kind: type[Any], out: Path) -> list[Any]:
    return [one for one in read_journal(out / "journal.jsonl") if isinstance(one, kind)]


@pytest.mark.ioc
@pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable")
def test_session_finds_engine_devices_and_plans_and_flies_what_the_dry_run_says(
    profile: Profile, wet: PulseFrames, tmp_path: Path
) -> None:
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
    assert started.estimated_duration_s == pytest.approx(rehearsed.layout.total_s)
    assert_dry_run_is_what_the_gates_saw(rehearsed, wet.pulses)
    # The estimate is no promise on a busy machine, but it must not be far above what was needed.
    assert stopped.time_s - started.time_s > 0.5 * rehearsed.programme.duration_s
    (document,) = (one.document for one in of(Document, out) if one.name == "start")
    assert (document["scan_id"], document["note"]) == (1, "hello")
    assert [(one.plan, one.exit_status) for one in of(PlanEnded, out)] == [("xrdct", "success")]


def assert_dry_run_is_what_the_gates_saw(rehearsed: DryRun, pulses: list[Pulse]) -> None:
    """Compare frames, beam-on time, turned degrees and dose of a dry run with the gates of the wet run."""
    said = {line[:14].strip(): line[14:] for line in str(rehearsed).splitlines()}
    assert f", {len(pulses)} frames" in said["scan"]
    with_beam = [one for one in pulses if one.beam > 0.9]
    assert rehearsed.programme.beam_s == pytest.approx(sum(one.exposure_s for one in with_beam))
    turned_deg = sum(abs(after.angle_deg - before.angle_deg) for before, after in pairwise(pulses))
    assert f"turns {turned_deg:.0f} deg" in said["turning"]
    trains = [list(line) for _, line in groupby(with_beam, key=lambda one: round(one.angle_deg))]
    open_s = sum(line[-1].time_s - line[0].time_s + line[0].exposure_s for line in trains)
    places_mm = [one.fast_mm for one in with_beam]
    area_cm2 = (max(places_mm) - min(places_mm) + DOSE["beam_width_mm"]) * DOSE["beam_height_mm"] / 100
    joule_per_gram = DOSE["flux_photons_s"] * open_s / area_cm2 * DOSE["energy_kev"] * KEV_J * DOSE["absorption_cm2_g"]
    number, unit = said["dose"].split()[1:3]
    assert float(number) * {"Gy": 1.0, "kGy": 1e3}[unit] == pytest.approx(1000 * joule_per_gram, rel=0.02)


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


@pytest.mark.ioc
@pytest.mark.skipif("OPERANDO_PREFIX" in os.environ, reason="needs the simulated trigger cable")
def test_a_cell_that_was_never_heard_holds_every_plan_before_its_first_line(profile: Profile, tmp_path: Path) -> None:
    guarded = profile.model_copy(update={"cell_limits": profile.cell_limits.model_copy(update={"silent_s": 0.01})})
    out = tmp_path / "out"
    names = operando.startup(guarded, out=out)
    try:
        with pytest.raises(RunEngineInterrupted):
            names["RE"](names["xrdct"]())
        with pytest.raises(RunEngineInterrupted):
            names["RE"].resume()
        assert names["RE"].state == "paused"
        assert not names["shutter"].is_open
        names["RE"].abort("enough")
    finally:
        names["close"]()
    assert of(LineAnnounced, out) == []
    paused = [one for one in of(ScanState, out) if one.state == "paused"]
    assert len(paused) >= 2
    assert all("no reading of the cell has come in" in one.reason for one in paused)


def test_importing_touches_no_control_system() -> None:
    check = "import sys, operando, acquisition.workplace; sys.exit(any(name in sys.modules for name in ('ophyd', 'epics')))"
    assert subprocess.run([sys.executable, "-c", check], check=False, timeout=60).returncode == 0


def test_beamline_that_is_only_listened_to_is_not_opened(tmp_path: Path) -> None:
    profile = read_profile("demo")
    listening = profile.model_copy(update={"control": profile.control.model_copy(update={"mode": "listen"})})
    with pytest.raises(ProfileError, match="only listens"):
        operando.startup(listening, out=tmp_path)
