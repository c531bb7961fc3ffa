"""What a scan will do, on one page, without one put or connection."""

from dataclasses import dataclass
from datetime import timedelta

from acquisition.plans.layout import Layout, complaints, layout_of, sweep_ends
from acquisition.plans.order import turns_deg
from operando.profile import Profile

_KEPT_BYTES_PER_BIN = 20
"""Mean, trimmed mean, their variances and the count of pixels, as four-byte numbers; compression is not counted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """A scan as planned, and what stands against it."""

    profile: Profile
    layout: Layout
    complaints: tuple[str, ...]

    @property
    def disk_bytes(self) -> int:
        """What the line files take at most; frames are not kept."""
        return self.layout.n_frames * self.profile.integration.n_radial * _KEPT_BYTES_PER_BIN

    def __str__(self) -> str:
        """Give the page."""
        return "\n".join(f"{name:<14}{value}" for name, value in _rows(self))


def dry_run(profile: Profile) -> DryRun:
    """Plan the scan of a profile and check it, touching nothing."""
    layout = layout_of(profile)
    return DryRun(profile=profile, layout=layout, complaints=tuple(complaints(profile, layout)))


def _rows(run: DryRun) -> list[tuple[str, str]]:
    scan, control, flight, layout = run.profile.scan, run.profile.control, run.layout.flight, run.layout
    low_mm, high_mm = sweep_ends(layout)
    frame_bytes = run.profile.detector.n_rows * run.profile.detector.n_columns * 4
    turned_deg = float(turns_deg(layout.grid.angles_deg).sum())
    order = scan.order if scan.order == "sequential" else f"interlaced, {scan.interlaces} passes"
    rows = [
        ("scan", f"{run.profile.name}: {len(layout.lines)} lines of {flight.n_points} points, {layout.n_frames} frames"),
        ("points", f"{flight.step_mm:g} mm apart, centred on {scan.centre_mm:g} mm of {control.fast.pv}"),
        (
            "angles",
            f"{len(layout.lines)} over {scan.angle_range_deg} deg, {order}; {control.rotation.pv} turns {turned_deg:.0f} deg",
        ),
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
        ("time", f"{_duration(layout.total_s)}, {layout.line_s:.3g} s a line"),
        ("beam", f"{_duration(layout.beam_s)} of exposure on the sample (no flux is known, so no dose)"),
        ("stream", f"{layout.n_frames * frame_bytes / 1e9:.3g} GB of frames, uncompressed"),
        ("disk", f"at most {run.disk_bytes / 1e6:.3g} MB of line files"),
        ("cell", f"{run.profile.cell.source}, speed {run.profile.cell.speed:g}"),
    ]
    return rows + [("PROBLEM", complaint) for complaint in run.complaints]


def _duration(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
