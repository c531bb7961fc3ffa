"""What dose a plan leaves in the sample: an estimate for the page of the dry run, not a measurement.

D = mu_en/rho N E, with N photons per area and E the energy of one (Howells et al., J. Electron Spectrosc. 170 (2009) 4, eq. 1,
doi 10.1016/j.elspec.2008.10.008). It is that of the surface facing the beam, for the time in which gates are given; the run-ups
and turns, in which the shutter is open as well, come on top: the page says how long the beam is on beside it.
"""

from acquisition.plans.layout import Layout
from acquisition.plans.programme import Move, PlannedRun, Programme
from operando.profile.surroundings import Dose

KEV_J = 1.602176634e-16
"""Exact since 2019 (SI)."""


def highest_dose_gy(programme: Programme, dose: Dose) -> float:
    """Give the highest dose of any slice, Gy: runs at the same pose of the hexapod add up."""
    pose: dict[str, float] = {}
    of_pose: dict[tuple[tuple[str, float], ...], float] = {}
    for step in programme.steps:
        if isinstance(step, Move):
            pose |= step.pose
        elif isinstance(step, PlannedRun) and step.has_beam:
            place = tuple(sorted(pose.items()))
            of_pose[place] = of_pose.get(place, 0.0) + layout_dose_gy(step.layout, dose)
    return max(of_pose.values(), default=0.0)


def layout_dose_gy(layout: Layout, dose: Dose) -> float:
    """Give the dose of one run, Gy, spread evenly over what its lines sweep."""
    flight = layout.flight
    # Of a sweep, or of one place; a beam wider than the sweep paints its own width.
    swept_mm = max((abs(line.step_mm) * (flight.n_points - 1) for line in layout.lines), default=0.0)
    area_cm2 = (swept_mm + dose.beam_width_mm) * dose.beam_height_mm / 100
    photons = dose.flux_photons_s * flight.train_s * len(layout.lines)
    joule_per_gram = photons / area_cm2 * dose.energy_kev * KEV_J * dose.absorption_cm2_g
    return 1000 * joule_per_gram


def dose_in_words(dose_gy: float) -> str:
    """Give a dose as beamlines write it."""
    for unit, size in (("GGy", 1e9), ("MGy", 1e6), ("kGy", 1e3)):
        if dose_gy >= size:
            return f"{dose_gy / size:.3g} {unit}"
    return f"{dose_gy:.3g} Gy"
