"""What a plan will do, on one page, without one put or connection."""

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from acquisition.plans.catalogue import programme_of
from acquisition.plans.dose import dose_in_words, highest_dose_gy
from acquisition.plans.layout import Layout, complaints, layout_of, sweep_ends, wound_by
from acquisition.plans.order import turns_deg
from acquisition.plans.programme import Move, Programme
from acquisition.plans.timing import move_s
from acquisition.workspace import Workspace
from operando.errors import ProfileError
from operando.profile import Profile

_KEPT_BYTES_PER_BIN = 20
"""Mean, trimmed mean, their variances and the count of pixels, as four-byte numbers; compression is not counted on."""

_MAPS_BYTES_PER_RUN = 200_000_000
"""What the archive of a run may take beside its line files: a choice, on the safe side of what was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A plan as it would fly, and what stands against it."""

    programme: Programme
    complaints: tuple[str, ...]

    @property
    def profile(self) -> Profile:
        """The profile, with the scan that flies."""
        return self.programme.profile

    @property
    def layout(self) -> Layout:
        """The lines of the first run."""
        return self.programme.runs[0].layout

    @property
    def disk_bytes(self) -> int:
        """What the line files take at most; frames are not kept."""
        return self.programme.n_frames * self.profile.integration.n_radial * _KEPT_BYTES_PER_BIN

    def __str__(self) -> str:
        """Give the page."""
        return "\n".join(f"{name:<14}{value}" for name, value in _rows(self))


def dry_run(profile: Profile, *, out: Path | None = None) -> DryRun:
    """Plan what a profile flies and check it, touching nothing.

    Parameters
    ----------
    out
        Folder of the beamtime, whose disk is looked at; None looks at none.

    Raises
    ------
    ProfileError
        If the plan does not exist or does not take its arguments.
    """
    return rehearse(programme_of(profile), out=out)


def rehearse(programme: Programme, *, out: Path | None = None) -> DryRun:
    """Check a programme, touching nothing; ``out`` as in :func:`dry_run`."""
    run = DryRun(programme=programme, complaints=tuple(programme_complaints(programme)))
    full = "" if out is None else _disk_complaint(run, out)
    return DryRun(programme=programme, complaints=(*run.complaints, full)) if full else run


def programme_complaints(programme: Programme) -> list[str]:
    """Say what the beamline of a profile cannot do of a programme; empty if it can do all."""
    layouts = {id(run.layout): run for run in programme.runs}.values()
    found = [complaint for run in layouts for complaint in complaints(run.profile, run.layout)]
    workspace = Workspace.of(programme.profile.control)
    pose: dict[str, float] = {}
    for step in programme.steps:
        if isinstance(step, Move):
            pose |= step.pose
            complaint = "" if workspace is None else workspace.complaint(pose)
            found += [complaint] if complaint else []
    found += _dose_complaints(programme)
    return list(dict.fromkeys(found))


def _dose_complaints(programme: Programme) -> list[str]:
    dose = programme.profile.dose
    if dose is None or dose.limit_gy is None:
        return []
    highest_gy = highest_dose_gy(programme, dose)
    if highest_gy <= dose.limit_gy:
        return []
    return [
        f"the dose is about {dose_in_words(highest_gy)}, dose.limit_gy allows {dose_in_words(dose.limit_gy)}: "
        "take fewer lines or runs, shorten scan.exposure_s or attenuate the beam"
    ]


def check_programme(programme: Programme) -> None:
    """Refuse a programme that the beamline cannot fly.

    Raises
    ------
    ProfileError
        With everything that is wrong, in sentences.
    """
    found = programme_complaints(programme)
    if found:
        raise ProfileError(f"{programme.profile.name}: this scan cannot be flown: {'; '.join(found)}")


def _disk_complaint(run: DryRun, out: Path) -> str:
    standing = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(standing).free
    wanted = run.disk_bytes + len(run.programme.runs) * _MAPS_BYTES_PER_RUN
    if wanted <= free:
        return ""
    return (
        f"the disk of {out} has {free / 1e9:.3g} GB free, the plan may take {wanted / 1e9:.3g} GB: free space or change --out"
    )


def _rows(run: DryRun) -> list[tuple[str, str]]:
    return [
        *_plan_rows(run.programme),
        *_scan_rows(run.profile, run.layout),
        *_denser_rows(run.programme),
        *_total_rows(run),
        *(("PROBLEM", complaint) for complaint in run.complaints),
    ]


def _plan_rows(programme: Programme) -> list[tuple[str, str]]:
    if programme.plan == "xrdct":
        return []
    n_moves = sum(isinstance(step, Move) for step in programme.steps)
    moves = f", {n_moves} moves of the hexapod" if n_moves else ""
    return [("plan", f"{programme.plan}: at most {len(programme.runs)} runs{moves}; below, the first")]


def _scan_rows(profile: Profile, layout: Layout) -> list[tuple[str, str]]:
    control, flight = profile.control, layout.flight
    scan = profile.scan
    low_mm, high_mm = sweep_ends(layout)
    return [
        ("scan", f"{profile.name}: {len(layout.lines)} lines of {flight.n_points} points, {layout.n_frames} frames"),
        ("points", f"{flight.step_mm:g} mm apart, centred on {scan.centre_mm:g} mm of {control.fast.pv}"),
        ("angles", _angles(profile, layout)),
        ("turning", _turning(profile, layout)),
        (
            "exposure",
            f"{flight.exposure_s * 1e3:.4g} ms, period {flight.period_s * 1e3:.4g} ms, {1 / flight.period_s:.4g} frames/s",
        ),
        ("speed", f"{flight.speed_mm_s:.4g} mm/s of at most {control.fast.speed:g}"),
        ("run-up", f"{flight.run_up_mm:.3g} mm; sweeps reach {low_mm:.4g} to {high_mm:.4g} mm"),
        (
            "limits",
            f"{control.fast.low:g} to {control.fast.high:g} mm, {control.rotation.low:g} to {control.rotation.high:g} deg",
        ),
        ("cables", _cables(profile, layout)),
    ]


def _denser_rows(programme: Programme) -> list[tuple[str, str]]:
    rows = []
    for run in programme.runs:
        if run.densify is not None:
            known = run.densify.x_mm is not None and run.densify.y_mm is not None
            place = f"about ({run.densify.x_mm:g}, {run.densify.y_mm:g}) mm" if known else "where the analysis says"
            flight = run.layout.flight
            points = f"{len(run.layout.lines)} lines of {flight.n_points} points, {flight.step_mm:g} mm apart"
            rows.append(("denser", f"{points}, over {run.densify.radius_mm:g} mm {place}, of a tomogram that is there"))
    return rows


def _angles(profile: Profile, layout: Layout) -> str:
    angles, scan = layout.grid.angles_deg, profile.scan
    if len(layout.lines) != scan.n_lines or scan.n_lines == 1:
        return f"{len(layout.lines)} lines from {angles.min():g} to {angles.max():g} deg"
    order = scan.order if scan.order == "sequential" else f"interlaced, {scan.interlaces} passes"
    return f"{len(layout.lines)} over {scan.angle_range_deg} deg, {order}"


def _turning(profile: Profile, layout: Layout) -> str:
    """Say what the order of the angles costs, beside the other order."""
    words = f"{profile.control.rotation.pv} turns {_turned(profile, layout)}"
    scan = profile.scan
    if len(layout.lines) != scan.n_lines or scan.n_lines == 1:
        return words
    other = "sequential" if scan.order == "interlaced" else "interlaced"
    changed = profile.model_copy(update={"scan": scan.model_copy(update={"order": other})})
    return f"{words}; in {other} order {_turned(changed, layout_of(changed))}"


def _turned(profile: Profile, layout: Layout) -> str:
    still = [line.sweep.still for line in layout.lines if line.sweep.axis == "fast"]
    rotation, turns = profile.control.rotation, turns_deg(np.array(still) if still else layout.grid.angles_deg)
    return f"{float(turns.sum()):.0f} deg in {sum(move_s(rotation, turn) for turn in turns):.0f} s"


def _cables(profile: Profile, layout: Layout) -> str:
    wound_deg = wound_by(layout)
    allowed_deg = profile.control.cable_wrap_deg
    allowed = "no limit is given" if allowed_deg is None else f"at most {allowed_deg:g} deg"
    return f"wound by up to {wound_deg:.4g} deg, {allowed}"


def _total_rows(run: DryRun) -> list[tuple[str, str]]:
    programme, profile = run.programme, run.profile
    frame_bytes = profile.detector.n_rows * profile.detector.n_columns * 4
    return [
        ("time", f"{_duration(programme.duration_s)}, {run.layout.line_s:.3g} s a line"),
        ("beam", f"{_duration(programme.beam_s)} of exposure on the sample"),
        ("dose", _dose(programme)),
        ("stream", f"{programme.n_frames * frame_bytes / 1e9:.3g} GB of frames, uncompressed"),
        ("disk", f"at most {run.disk_bytes / 1e6:.3g} MB of line files"),
        ("cell", f"{profile.cell.source}, speed {profile.cell.speed:g}"),
    ]


def _dose(programme: Programme) -> str:
    dose = programme.profile.dose
    if dose is None:
        return "not known: the profile has no section dose"
    limit = "no limit is given" if dose.limit_gy is None else f"at most {dose_in_words(dose.limit_gy)}"
    return f"about {dose_in_words(highest_dose_gy(programme, dose))} at the surface, in the gates alone; {limit}"


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
