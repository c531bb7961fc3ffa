"""What the window says in words: each line from the session alone, so that it can be read in a test without a window."""

from typing import NamedTuple

import numpy as np

from operando.messages import MapPublished, Notice, SinogramPublished
from viewer.cell_state import CellState, cell_of_reading
from viewer.freshness import duration, moment
from viewer.scan import Scan
from viewer.session import Session
from viewer.stacks import grid_of

CELL_STALE_S = 10.0
"""A reading of the cell that is older is called old; the cycler or its bridge is silent then."""


class Words(NamedTuple):
    """A value for the eye and, smaller, what goes with it."""

    main: str
    small: str = ""


def run_words(session: Session) -> Words:
    """Say of what the run is, when it began, its name, and by which estimator its maps were made."""
    scan = session.tomogram
    if scan.run is None:
        return Words("no run yet")
    estimators = {shown.message.estimator for shown in scan.maps.values()}
    of_what = [] if scan.started is None else [part for part in (scan.started.sample, scan.started.cell) if part]
    when = [] if scan.start_s is None else [moment(scan.start_s)]
    return Words(" · ".join([*of_what, *when]) or scan.run, " · ".join([f"run {_short(scan.run)}", *sorted(estimators)]))


def progress_words(session: Session) -> Words:
    """Say how far the scan is."""
    progress = session.tomogram.progress
    if progress is None:
        return Words("–")
    n_again = progress.attempts - progress.lines_done
    again = f" · {n_again} flown again" if n_again > 0 and session.is_over else ""
    left = "time left unknown" if progress.seconds_left is None else f"{duration(progress.seconds_left)} left"
    if session.held is not None:
        left = session.held.reason or session.held.state
    return Words(
        f"{progress.lines_done} / {progress.lines_expected} lines", (progress.state if session.is_over else left) + again
    )


def cell_words(session: Session) -> Words:
    """Say how the cell is and how old that is; what the source does not give stays a dash."""
    cell, age_s = session.cell, session.cell_age_s
    if cell is None or age_s is None:
        return Words("–", "no reading yet")
    main = f"{_number(cell.voltage_v, '.3f')} V   {_number(cell.current_a, '+.2f')} A"
    parts = [
        cell.step,
        "" if cell.charge_ah is None else f"{cell.charge_ah:.3f} Ah",
        "" if cell.temperature_c is None else f"{cell.temperature_c:.1f} °C",
        f"{duration(age_s)} old" if age_s > CELL_STALE_S and not session.is_over else "",
    ]
    return Words(main, " · ".join(part for part in parts if part))


def frames_words(session: Session) -> Words:
    """Say what became of the frames: received, missing, doubled, rejected."""
    status, progress = session.status, session.tomogram.progress
    if status is None:
        if progress is None:
            return Words("–")
        return Words(f"{progress.frames_received} of {progress.frames_expected}", f"{progress.frames_missing} missing")
    small = [f"{status.frames_missing} missing", f"{status.frames_duplicated} doubled"]
    small += [f"{sum(status.frames_rejected.values())} rejected"]
    small += [f"queue {status.queue_depth}/{status.queue_capacity}"] if 4 * status.queue_depth > status.queue_capacity else []
    return Words(f"{status.frames_received} frames   {status.frames_per_s:.0f}/s", " · ".join(small))


def scan_words(session: Session, *, is_flat: bool = False) -> str:
    """Say, for the corner of a map, which scan it is if there are several, how complete, and how the cell was meanwhile.

    Flat words are two lines at most: they fit below a small map.
    """
    newest = session.shown.newest
    if newest is None:
        return ""
    n_scans = len(session.scans)
    place = [f"scan {session.timeline.index + 1} of {n_scans}"] if n_scans > 1 else []
    scan, cell = [*place, share_words(newest)], cell_state_words(session.cell_of(session.shown))
    lines = [" · ".join(scan), " · ".join(cell)] if is_flat else [*scan, *cell]
    return "\n".join(line for line in lines if line)


def scan_state_words(session: Session, scan: Scan) -> str:
    """Say which scan of a session it is if there are several, how complete, and how its cell was; for a comparison."""
    newest = scan.newest
    if newest is None:
        return "no map"
    n_scans = len(session.scans)
    place = f"scan {session.scans.index(scan) + 1} of {n_scans}, " if n_scans > 1 and scan in session.scans else ""
    cell = session.cell_of(scan)
    *first, last = [*cell_state_words(cell), direction_words(cell)]
    return "\n".join([place + share_words(newest), *first[:-1], ", ".join(word for word in [*first[-1:], last] if word)])


def direction_words(cell: CellState) -> str:
    """Say whether the cell was charging; nothing where its current is not known."""
    if cell.current_a is None:
        return ""
    return "charging" if cell.current_a > 0 else "discharging" if cell.current_a < 0 else "at rest"


def following_words(session: Session, n_skipped: int = 0) -> Words:
    """Say whether the newest scan is shown, how many have begun since the slider was taken, and what never came here.

    The count is told by its order: every change of the text paints the window anew.
    """
    timeline = session.timeline
    about = n_skipped if n_skipped < 10 else 10 ** (len(str(n_skipped)) - 1)
    skipped = "" if not n_skipped else f" · {'' if n_skipped == about else 'over '}{about} skipped"
    told = f"{n_skipped} updates of the feed were replaced by newer ones before they came here" if n_skipped else ""
    if timeline.is_following:
        return Words(f"following{skipped}", told)
    return Words(f"paused · {timeline.n_new} new{skipped}", "\n".join(["L or Home follows again", told]).strip())


def map_words(message: MapPublished, cell: CellState | None = None) -> str:
    """Say how complete a map is and how the cell was meanwhile: as is known, else as the message tells it."""
    cell = cell or cell_of_reading(message.cell)
    return "   ".join([share_words(message), *cell_state_words(cell)])


def share_words(message: MapPublished) -> str:
    """Say how complete a map is."""
    share = message.n_lines / message.n_lines_expected if message.n_lines_expected else 0.0
    return "complete" if share >= 1 else f"partial {100 * share:.0f} %"


def cell_state_words(cell: CellState) -> list[str]:
    """Say voltage, with its range where it moved much, and charge; nothing for what is not known."""
    words = []
    if cell.voltage_v is not None:
        span = "" if cell.wide_span_v is None else " ({:.2f}–{:.2f})".format(*cell.wide_span_v)
        words.append(f"{cell.voltage_v:.3f} V{span}")
    if cell.charge_ah is not None:
        words.append(f"{cell.charge_ah:.3f} Ah")
    return words


def voxel_text(scan: Scan, name: str, *, x_mm: float, y_mm: float) -> str:
    """Write what a scan's map says at a place: value, uncertainty and unit, or why there is none; empty outside the map."""
    shown = scan.maps.get(name)
    voxel = None if shown is None else grid_of(shown.message, shown.arrays["value"]).voxel(x_mm=x_mm, y_mm=y_mm)
    if shown is None or voxel is None:
        return ""
    message, value = shown.message, float(shown.arrays["value"][voxel])
    place = f"{message.label} at x {x_mm:.2f} mm, y {y_mm:.2f} mm"
    if not np.isfinite(value):
        code = int(shown.arrays["reason"][voxel]) if "reason" in shown.arrays else 0
        return f"{place}: none ({message.reasons.get(code, f'reason {code}')})"
    sigma = float(shown.arrays["sigma"][voxel]) if "sigma" in shown.arrays else np.nan
    return f"{place}: {value_words(value, sigma, message.unit)}"


def value_at(scan: Scan, name: str, *, x_mm: float, y_mm: float) -> tuple[float, float]:
    """Give value and uncertainty of a scan's map at a place; NaN where there is none."""
    shown = scan.maps.get(name)
    voxel = None if shown is None else grid_of(shown.message, shown.arrays["value"]).voxel(x_mm=x_mm, y_mm=y_mm)
    if shown is None or voxel is None:
        return np.nan, np.nan
    sigma = shown.arrays.get("sigma")
    return float(shown.arrays["value"][voxel]), np.nan if sigma is None else float(sigma[voxel])


def centre_words(message: SinogramPublished) -> str:
    """Say where the rotation axis is: as the sinogram tells it with its uncertainty, else as the reconstruction takes it."""
    measured = message.centre_mm if message.centre_estimated_mm is None else message.centre_estimated_mm
    if measured is None:
        return ""
    if message.centre_sigma_mm is None:
        return f"centre {measured:+.3f} mm"
    # Two digits of the uncertainty, down to a tenth of a micrometre: less of it is never real.
    digits = int(np.clip(1 - np.floor(np.log10(max(message.centre_sigma_mm, 1e-9))), 0, 4))
    least_mm = 10.0**-digits
    doubt = (
        f"± {message.centre_sigma_mm:.{digits}f}" if message.centre_sigma_mm >= least_mm else f"within {least_mm:.{digits}f}"
    )
    return f"centre {measured:+.{digits}f} {doubt} mm"


def value_words(value: float, sigma: float, unit: str) -> str:
    """Write a value with its uncertainty and unit, to the last digit of the uncertainty; a dash where there is none."""
    if not np.isfinite(value):
        return "–"
    if not np.isfinite(sigma) or sigma <= 0:
        return f"{value:.4g} {unit}".rstrip()
    doubt = f"{sigma:.2g}" if sigma < 100 else f"{sigma:.0f}"
    if "e" in doubt:
        return f"{value:.4g} ± {doubt} {unit}".rstrip()
    n_digits = len(doubt.partition(".")[2])
    return f"{value:.{n_digits}f} ± {doubt} {unit}".rstrip()


def notice_words(notice: Notice) -> str:
    """Say a notice with its origin."""
    return f"{notice.origin}: {notice.text}"


def _short(run: str) -> str:
    """Give the part of a run's name by which people call it: the beginning of a unique identifier."""
    return run[:8] if len(run) == 36 and run.count("-") == 4 else run


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
