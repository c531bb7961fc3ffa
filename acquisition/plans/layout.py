"""Where every line of a scan flies, and whether the beamline can fly it: known before anything moves."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from acquisition.plans.order import angles_in_flying_order, turns_deg
from acquisition.plans.timing import OVERHEAD_S, Flight, flight_of, line_s, move_s
from acquisition.workspace import Workspace
from operando.errors import ProfileError
from operando.profile import Profile
from operando.scan import TomogramGrid


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """The motion of one line: one axis sweeps from rest to rest, the other stands. In the units of the axes."""

    axis: Literal["fast", "rotation"]
    """The one that sweeps."""
    start: float
    gate: float
    """Leading edge of the first gate."""
    end: float
    still: float
    """Where the other axis stands."""
    speed: float


class Flown(Protocol):
    """One line of a layout, whichever axis sweeps."""

    @property
    def index(self) -> int:
        """Its number in the run."""
        ...

    @property
    def direction(self) -> Literal[1, -1]:
        """The sense in which the sweeping axis crosses its gate."""
        ...

    @property
    def angle_deg(self) -> float:
        """Of the first exposure."""
        ...

    @property
    def angle_step_deg(self) -> float:
        """From one exposure to the next; 0 where the stage stands."""
        ...

    @property
    def first_position_mm(self) -> float:
        """Of the first exposure."""
        ...

    @property
    def step_mm(self) -> float:
        """From one exposure to the next; 0 where the fast axis stands."""
        ...

    @property
    def sweep(self) -> Sweep:
        """The motion."""
        ...

    def planned_mm(self, n_points: int) -> NDArray[np.float64]:
        """Give the position at each exposure, shape (n_points,), mm."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One sweep of the fast axis; positions are readbacks in mm."""

    index: int
    angle_deg: float
    direction: Literal[1, -1]
    first_position_mm: float
    """Middle of the first exposure in flying order."""
    step_mm: float
    """To the next point in flying order; negative on the way back."""
    start_mm: float
    """Where the axis starts from rest."""
    gate_mm: float
    """Leading edge of the first gate."""
    end_mm: float
    """Where the axis comes to rest."""
    speed_mm_s: float

    @property
    def angle_step_deg(self) -> float:
        """Nothing: the stage stands."""
        return 0.0

    @property
    def sweep(self) -> Sweep:
        """The motion of the fast axis."""
        return Sweep(
            axis="fast", start=self.start_mm, gate=self.gate_mm, end=self.end_mm, still=self.angle_deg, speed=self.speed_mm_s
        )

    def planned_mm(self, n_points: int) -> NDArray[np.float64]:
        """Give the middle of each exposure in flying order, shape (n_points,), mm."""
        return self.first_position_mm + self.step_mm * np.arange(n_points, dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """All lines of a tomogram, in flying order."""

    flight: Flight
    grid: TomogramGrid
    lines: tuple[Flown, ...]
    line_s: float
    """A sweep from standstill to standstill, s."""
    total_s: float
    """The whole tomogram, with turns and overheads, s."""

    @property
    def n_frames(self) -> int:
        """Frames of the tomogram, without lines flown again."""
        return len(self.lines) * self.flight.n_points

    @property
    def beam_s(self) -> float:
        """Time with the gates open, s."""
        return self.n_frames * self.flight.exposure_s


def layout_of(profile: Profile) -> Layout:
    """Lay out the scan of a profile: even lines in the positive direction, odd lines back."""
    scan = profile.scan
    flight = flight_of(profile)
    half_width_mm = 0.5 * (scan.n_points - 1) * scan.step_mm
    angles_deg = angles_in_flying_order(scan)
    lines = tuple(
        line_at(index, float(angle), flight=flight, centre_mm=scan.centre_mm, half_width_mm=half_width_mm)
        for index, angle in enumerate(angles_deg)
    )
    one_line_s = line_s(flight, acceleration_s=profile.control.fast.acceleration_s)
    turning_s = sum(move_s(profile.control.rotation, turn) for turn in turns_deg(angles_deg))
    return Layout(
        flight=flight,
        grid=TomogramGrid(
            angles_deg=angles_deg,
            first_position_mm=scan.centre_mm - half_width_mm,
            step_mm=scan.step_mm,
            n_points=scan.n_points,
        ),
        lines=lines,
        line_s=one_line_s,
        total_s=len(lines) * (one_line_s + OVERHEAD_S) + turning_s,
    )


def complaints(profile: Profile, layout: Layout) -> list[str]:
    """Say what the beamline of a profile cannot do of a layout; empty if it can do all."""
    fast, rotation = profile.control.fast, profile.control.rotation
    flight = layout.flight
    found = []
    if flight.speed_mm_s > fast.speed:
        found.append(
            f"the fast axis would fly at {flight.speed_mm_s:.4g} mm/s ({flight.step_mm:g} mm in {flight.period_s:.4g} s), "
            f"above its {fast.speed:g} mm/s: lengthen scan.exposure_s or shorten scan.step_mm"
        )
    low_mm, high_mm = sweep_ends(layout)
    if low_mm < fast.low or high_mm > fast.high:
        found.append(
            f"lines with run-up reach from {low_mm:.4g} to {high_mm:.4g} mm, "
            f"the fast axis from {fast.low:g} to {fast.high:g} mm: shorten the line or move scan.centre_mm"
        )
    least, most = turned_ends(layout)
    turn_deg_s = max((line.sweep.speed for line in layout.lines if line.sweep.axis == "rotation"), default=0.0)
    if turn_deg_s > rotation.speed:
        found.append(
            f"the stage would turn at {turn_deg_s:.4g} deg/s, above its {rotation.speed:g} deg/s: "
            "lengthen scan.exposure_s or take more angles"
        )
    if least < rotation.low or most > rotation.high:
        advice = "lengthen scan.exposure_s: slower turns need less run-up" if turn_deg_s else "change scan.angle_range_deg"
        found.append(
            f"angles run from {least:g} to {most:g} deg, "
            f"the rotation stage from {rotation.low:g} to {rotation.high:g} deg: {advice}"
        )
    wrap_deg = profile.control.cable_wrap_deg
    if wrap_deg is not None and wound_by(layout) > wrap_deg:
        found.append(
            f"the rotation would wind the cables by {wound_by(layout):.4g} deg, "
            f"control.cable_wrap_deg allows {wrap_deg:g} deg: change scan.angle_range_deg"
        )
    return found + _workspace_complaints(profile, low_mm=low_mm, high_mm=high_mm)


def check_layout(profile: Profile, layout: Layout) -> None:
    """Refuse a layout that the beamline cannot fly.

    Raises
    ------
    ProfileError
        With everything that is wrong, in sentences.
    """
    found = complaints(profile, layout)
    if found:
        raise ProfileError(f"{profile.name}: this scan cannot be flown: {'; '.join(found)}")


def wound_by(layout: Layout) -> float:
    """Give how far from zero the rotation goes, degree: what the cables of a cell are wound up by."""
    return max(map(abs, turned_ends(layout)))


def turned_ends(layout: Layout) -> tuple[float, float]:
    """Give the lowest and the highest angle that the stage reaches, degree."""
    ends = [end for line in layout.lines for end in _ends_of(line, "rotation")]
    return min(ends), max(ends)


def sweep_ends(layout: Layout) -> tuple[float, float]:
    """Give the lowest and the highest position that the fast axis reaches, mm."""
    ends = [end for line in layout.lines for end in _ends_of(line, "fast")]
    return min(ends), max(ends)


def _ends_of(line: Flown, axis: Literal["fast", "rotation"]) -> tuple[float, ...]:
    sweep = line.sweep
    return (sweep.start, sweep.end) if sweep.axis == axis else (sweep.still,)


def _workspace_complaints(profile: Profile, *, low_mm: float, high_mm: float) -> list[str]:
    workspace = Workspace.of(profile.control)
    axis_of_pv = {pv: axis.lower() for axis, pv in profile.control.hexapod_axes.items()}
    axis = axis_of_pv.get(profile.control.fast.pv)
    if workspace is None or axis is None:
        return []
    # Where the other axes stand is known at the beamline only; it is asked again there, before the run opens.
    return [complaint for end_mm in (low_mm, high_mm) if (complaint := workspace.complaint({axis: end_mm}))]


def line_at(index: int, angle_deg: float, *, flight: Flight, centre_mm: float, half_width_mm: float) -> Line:
    """Lay out one sweep about a centre; even numbers fly in the positive direction, odd ones back."""
    direction: Literal[1, -1] = 1 if index % 2 == 0 else -1
    first_mm = centre_mm - direction * half_width_mm
    gate_mm = first_mm - direction * flight.half_gate_mm
    start_mm = gate_mm - direction * flight.run_up_mm
    return Line(
        index=index,
        angle_deg=angle_deg,
        direction=direction,
        first_position_mm=first_mm,
        step_mm=direction * flight.step_mm,
        start_mm=start_mm,
        gate_mm=gate_mm,
        end_mm=start_mm + direction * flight.travel_mm,
        speed_mm_s=flight.speed_mm_s,
    )
