"""What a plan does, as data: the same steps are rehearsed by the dry run and flown at the beamline.

A programme is a list of steps, known to the last frame before anything moves. A condition may end it early, never lengthen it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from acquisition.plans.densify import Densify
from acquisition.plans.layout import Layout, Sweep
from acquisition.plans.steering import Wanted
from acquisition.plans.timing import move_s
from acquisition.plans.until import Until
from operando.profile import Control, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """One Bluesky run: lines of one layout, flown in order."""

    profile: Profile
    """The beamline's profile with the scan of this run."""
    layout: Layout
    purpose: str
    """What the frames are for, for instance ``tomogram`` or ``dark``; stands in the run's metadata."""
    has_beam: bool = True
    """Whether the shutter opens for the lines."""
    channel: str | None = ""
    """The cycler's channel of the cell in the beam: ``""`` is the profile's own, None one that nobody reads."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    densify: Densify | None = None
    """What of an earlier run flies again; where it lies is known only then, so that ``layout`` is as long, and elsewhere."""

    @property
    def duration_s(self) -> float:
        """Estimated time, s."""
        return self.layout.total_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Bring axes of the hexapod to absolute positions, shutter closed."""

    pose: Mapping[str, float]
    """Position by lower-case axis name, mm or degree; axes that are not named stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Wait with the shutter closed."""

    for_s: float | None = None
    """For so long, s."""
    until_s: float | None = None
    """Until so long after the start of the programme, s; over at once if that has passed."""


Step = PlannedRun | Move | Wait


def approach_s(control: Control, layout: Layout, *, at: tuple[float, float]) -> float:
    """Give how much longer a layout takes than it says where the axes stand elsewhere at first, s.

    Parameters
    ----------
    at
        Where fast axis and rotation stand. A layout that sweeps the fast axis counts the first turn from zero itself.
    """
    first = layout.lines[0].sweep
    to = _stands(first, at="start")
    needed_s = max(move_s(control.fast, abs(to[0] - at[0])), move_s(control.rotation, abs(to[1] - at[1])))
    return needed_s - (move_s(control.rotation, abs(to[1])) if first.axis == "fast" else 0.0)


def _stands(sweep: Sweep, *, at: Literal["start", "end"]) -> tuple[float, float]:
    """Give where fast axis and rotation stand at the start or end of a sweep."""
    swept = sweep.start if at == "start" else sweep.end
    return (swept, sweep.still) if sweep.axis == "fast" else (sweep.still, swept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Programme:
    """All steps of a plan."""

    plan: str
    """Name of the plan in the catalogue."""
    profile: Profile
    steps: tuple[Step, ...]
    steering: Wanted | None = None
    """By what its runs are steered; None flies every line whatever the map shows."""
    until: Until = field(default_factory=Until)
    """Looked at before each run but the first; ends the programme in order."""

    @property
    def runs(self) -> tuple[PlannedRun, ...]:
        """The runs, at most."""
        return tuple(step for step in self.steps if isinstance(step, PlannedRun))

    @property
    def n_frames(self) -> int:
        """Frames of all runs, at most, without lines flown again."""
        return sum(run.layout.n_frames for run in self.runs)

    @property
    def beam_s(self) -> float:
        """Exposure with the beam on the sample, at most, s."""
        return sum(run.layout.beam_s for run in self.runs if run.has_beam)

    @property
    def duration_s(self) -> float:
        """Estimated time at most, s; all axes are taken to start from zero."""
        elapsed_s, at = 0.0, (0.0, 0.0)
        pose: dict[str, float] = {}
        for step in self.steps:
            if isinstance(step, PlannedRun):
                elapsed_s += step.duration_s + approach_s(self.profile.control, step.layout, at=at)
                at = _stands(step.layout.lines[-1].sweep, at="end")
            elif isinstance(step, Move):
                ways = [abs(target - pose.get(axis, 0.0)) for axis, target in step.pose.items()]
                elapsed_s += max(move_s(self.profile.control.fast, way) for way in ways)
                pose |= step.pose
            elif isinstance(step, Wait):
                elapsed_s = max(elapsed_s + (step.for_s or 0.0), step.until_s or 0.0)
        return elapsed_s
