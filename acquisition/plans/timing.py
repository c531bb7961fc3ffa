"""Speed, run-up and times of a scan from exposure, readout and step: pure functions of the profile."""

from dataclasses import dataclass

from operando.profile import Axis, Profile

STEADY_S = 0.05
"""Time at constant speed before the first gate and after the last: controllers ring for some tens of ms after the ramp; more
only costs time, twice in every line."""

OVERHEAD_S = 0.4
"""Arming, settling, answers of servers and detector, for each line; measured on the simulated beamline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """How the fast axis flies a line of this scan."""

    exposure_s: float
    period_s: float
    """Start of an exposure to the start of the next: exposure and readout."""
    speed_mm_s: float
    run_up_mm: float
    """From standstill to the leading edge of the first gate, and as much after the last."""
    n_points: int
    step_mm: float

    @property
    def train_s(self) -> float:
        """From the leading edge of the first gate to the end of the last."""
        return (self.n_points - 1) * self.period_s + self.exposure_s

    @property
    def travel_mm(self) -> float:
        """From standstill to standstill."""
        return self.train_s * self.speed_mm_s + 2 * self.run_up_mm

    @property
    def half_gate_mm(self) -> float:
        """From the leading edge of a gate to the middle of its exposure."""
        return 0.5 * self.exposure_s * self.speed_mm_s


def flight_of(profile: Profile) -> Flight:
    """Compute how the lines of a profile's scan fly."""
    scan = profile.scan
    period_s = scan.exposure_s + profile.detector.readout_s
    speed_mm_s = scan.step_mm / period_s
    return Flight(
        exposure_s=scan.exposure_s,
        period_s=period_s,
        speed_mm_s=speed_mm_s,
        run_up_mm=run_up_mm(speed_mm_s, acceleration_s=profile.control.fast.acceleration_s),
        n_points=scan.n_points,
        step_mm=scan.step_mm,
    )


def run_up_mm(speed_mm_s: float, *, acceleration_s: float) -> float:
    """Give the way to reach a speed and to steady at it, mm.

    The ramp is linear in time and takes ``acceleration_s`` whatever the speed, as in a motor record.
    """
    return speed_mm_s * (0.5 * acceleration_s + STEADY_S)


def move_s(axis: Axis, distance: float) -> float:
    """Give the time of a move at the axis' own speed, s; trapezoidal, or triangular where the way is short."""
    if distance <= 0:
        return 0.0
    ramp = axis.speed * axis.acceleration_s
    if distance >= ramp:
        return distance / axis.speed + axis.acceleration_s
    return float(2 * axis.acceleration_s * (distance / ramp) ** 0.5)


def line_s(flight: Flight, *, acceleration_s: float) -> float:
    """Give the time of a sweep from standstill to standstill, s."""
    return flight.travel_mm / flight.speed_mm_s + acceleration_s
