"""From the image of a calibrant and a geometry that is nearly right to the right geometry, or a refusal with its reason."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyFAI.geometry import Geometry

from operando.errors import CalibrationError
from streaming.calibrate.energy import EnergyFit, fit_energy
from streaming.calibrate.fit import fit_geometry, residuals_px
from streaming.calibrate.refuse import (
    Tolerances,
    refuse_energy,
    refuse_flip_by_mask,
    refuse_rings,
    refuse_start,
    refuse_unexplained,
)
from streaming.calibrate.result import CalibrationResult, RingResidual
from streaming.calibrate.rings import RingPoints, beam_centre_px, find_points, isolated, radius_of, spacings_of, two_theta_of
from streaming.calibrate.start import find_start
from streaming.integrate.geometry import HC_KEV_ANGSTROM

SEARCHES_PX = (10.0, 5.0)
"""Windows of the two searches: the first forgives a start that is 8 pixels off, the second keeps neighbours out."""
N_FITTED = 5
"""Rings that are fitted; the others are predicted."""
LEAST_FOR_ENERGY = 8
"""Nearly whole rings without which nothing is said of the energy: six numbers want more than six rings."""
LARGEST_ENERGY_SIGMA = 0.005
"""Part of the energy: if the rings fix it less well, a refined one would be worse than any monochromator's."""


def calibrate(
    image: NDArray[Any],
    start: Any,
    *,
    mask: NDArray[np.bool_],
    calibrant: str = "CeO2",
    energy_kev: float | None = None,
    tolerances: Tolerances | None = None,
    is_automatic: bool = False,
    refine_energy: bool = False,
) -> CalibrationResult:
    """Find distance, point of normal incidence and two tilts from the rings of a calibrant.

    Rings fix neither rot3 nor the handedness of the image, and distance and energy nearly replace each other. What is refused,
    and on what grounds, is written at :class:`streaming.calibrate.refuse.Tolerances`.

    Parameters
    ----------
    image
        Counts, shape (n_rows, n_columns).
    start
        A pyFAI geometry with a detector, right within the tolerances; it is not changed.
    mask
        Pixels not to use, same shape; one that is not symmetric also tells whether the image is flipped.
    calibrant
        Name of the calibrant as pyFAI knows it.
    energy_kev
        Photon energy; None takes that of the start geometry.
    tolerances
        When to refuse; None takes the defaults.
    is_automatic
        Whether to find beam and distance in the image first; without, the start must be right within 8 pixels.
    refine_energy
        Whether the energy is fitted too, else it is held.

    Raises
    ------
    CalibrationError
        If the image does not fit calibrant, energy and start, with the reason.
    """
    if image.shape != mask.shape:
        raise CalibrationError(f"image has shape {image.shape}, the detector {mask.shape}: give a full frame of this detector")
    limits = tolerances or Tolerances()
    is_measured = _is_measured(image)
    is_good = is_measured & ~mask
    is_upright = refuse_flip_by_mask(is_measured, mask)
    spacings = spacings_of(calibrant)
    wavelength_m = 1e-10 * HC_KEV_ANGSTROM / energy_kev if energy_kev else start.wavelength
    # A bare geometry: an integrator throws its engines away, and the interpreter's garbage, whenever a parameter changes.
    geometry = Geometry(*start.param, detector=start.detector, wavelength=wavelength_m)
    if is_automatic:
        geometry = find_start(image, is_good, geometry, _angles(spacings, geometry))
    found = _fit(image, is_good, geometry, spacings, calibrant=calibrant, limits=limits, refine_energy=refine_energy)
    held_kev = HC_KEV_ANGSTROM / (1e10 * float(geometry.wavelength))
    if found.energy is not None and not refine_energy:
        refuse_energy(found.energy, held_kev=held_kev, limits=limits)
    if not found.predicted_px <= limits.predicted_px:
        raise CalibrationError(
            f"{calibrant} at {found.energy_kev:.2f} keV: {N_FITTED} rings predict the others only within "
            f"{found.predicted_px:.2f} px, wanted {limits.predicted_px:g}: check energy and calibrant"
        )
    refuse_unexplained(image, is_good, found.geometry, _angles(spacings, found.geometry), calibrant=calibrant, limits=limits)
    refuse_start(found.geometry, start, shape=image.shape, is_upright=is_upright, limits=limits)
    return replace(found, notes=tuple(_notes(found.geometry, start, is_upright=is_upright)))


def _fit(
    image: NDArray[Any],
    is_good: NDArray[np.bool_],
    geometry: Any,
    spacings: NDArray[np.float64],
    *,
    calibrant: str,
    limits: Tolerances,
    refine_energy: bool,
) -> CalibrationResult:
    """Search twice, fit after each search, and let rings that were not fitted judge the last fit."""
    two_theta = _angles(spacings, geometry)
    uncertainties = np.zeros(5)
    for window_px in SEARCHES_PX:
        chosen, points = _search(image, is_good, geometry, two_theta, window_px=window_px)
        full = np.flatnonzero(_is_full(points))
        refuse_rings(points, calibrant=calibrant, limits=limits)
        fitted = _spread(full) if window_px == SEARCHES_PX[-1] else full
        geometry, uncertainties = fit_geometry(geometry, points.only(np.isin(points.ring, fitted)), two_theta[chosen])
    energy = None
    if full.size >= LEAST_FOR_ENERGY:
        energy = fit_energy(geometry, points.only(np.isin(points.ring, full)), spacings[chosen])
    if refine_energy:
        energy = _fixed_energy(energy, calibrant=calibrant)
        fitted = np.union1d(full[::2], full[-1:])
        energy = fit_energy(energy.geometry, points.only(np.isin(points.ring, fitted)), spacings[chosen])
        geometry, uncertainties = energy.geometry, energy.sigmas
        two_theta = _angles(spacings, geometry)
    residual = residuals_px(geometry, points, two_theta[chosen])
    rings = _judge(residual, points, two_theta[chosen], spacings[chosen], fitted, _is_full(points))
    return CalibrationResult(
        geometry=geometry,
        uncertainties=uncertainties,
        calibrant=calibrant,
        energy_kev=HC_KEV_ANGSTROM / (1e10 * float(geometry.wavelength)),
        is_energy_held=not refine_energy,
        energy=energy,
        rings=rings,
        points=points,
        residuals_px=residual,
        two_theta=two_theta[chosen],
        fitted_px=_rms([ring.mean_px for ring in rings if ring.role == "fitted"]),
        predicted_px=_rms([ring.mean_px for ring in rings if ring.role == "predicted"]),
    )


def _fixed_energy(energy: EnergyFit | None, *, calibrant: str) -> EnergyFit:
    """Refuse to refine an energy that the rings do not fix.

    Raises
    ------
    CalibrationError
        With how little they do.
    """
    if energy is None:
        raise CalibrationError(f"too few rings of {calibrant} are nearly whole to refine the energy: hold it")
    part = energy.sigma_kev / energy.energy_kev
    if part > LARGEST_ENERGY_SIGMA:
        raise CalibrationError(
            f"the rings fix the energy only within {100 * part:.2f} %, wanted {100 * LARGEST_ENERGY_SIGMA:g} %, since distance "
            "and energy nearly replace each other at these angles: hold the energy, or bring the detector nearer"
        )
    return energy


def _notes(geometry: Any, start: Any, *, is_upright: bool) -> list[str]:
    """Say what the start had otherwise, and what it could not check."""
    shift_px = np.array(beam_centre_px(geometry)) - np.array(beam_centre_px(start))
    moved_mm = 1e3 * (geometry.dist - start.dist)
    notes = []
    if abs(moved_mm) > 1e-3 * 1e3 * start.dist or np.abs(shift_px).max() > 1.0:
        notes.append(
            f"against the profile's geometry: distance {moved_mm:+.2f} mm ({100 * moved_mm / (1e3 * start.dist):+.2f} %), beam "
            f"{shift_px[0]:+.1f} rows, {shift_px[1]:+.1f} columns"
        )
    if not is_upright:
        notes.append("the image's dead pixels do not tell whether it is flipped: compare an asymmetric object once")
    return notes


def _angles(spacings: NDArray[np.float64], geometry: Any) -> NDArray[np.float64]:
    return two_theta_of(spacings, wavelength_angstrom=1e10 * float(geometry.wavelength))


def _is_measured(image: NDArray[Any]) -> NDArray[np.bool_]:
    if np.issubdtype(image.dtype, np.unsignedinteger):
        return np.asarray(image < np.iinfo(image.dtype).max)
    return np.asarray(np.isfinite(image) & (image >= 0))


def _search(
    image: NDArray[Any], is_good: NDArray[np.bool_], geometry: Any, two_theta: NDArray[np.float64], *, window_px: float
) -> tuple[NDArray[np.int64], RingPoints]:
    """Look for the rings that stand far enough apart; give their indices and the points."""
    radius_px = radius_of(two_theta, distance_m=geometry.dist, pixel_m=geometry.pixel1)
    # Two windows and the width of a peak: no neighbour is ever in the window.
    chosen = isolated(radius_px, clearance_px=2.0 * window_px + 2.0, largest_px=0.75 * max(image.shape))
    return chosen, find_points(image, is_good, geometry, two_theta[chosen], window_px=window_px)


def _is_full(points: RingPoints) -> NDArray[np.bool_]:
    """Tell which rings are seen over at least 70 % of the azimuth, so that shifted modules average out, shape (n_rings,)."""
    return np.asarray(points.n_found >= 42)


def _spread(rings: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose the rings to fit, from the innermost to the outermost: what lies between is interpolated, which is what counts."""
    return rings[np.linspace(0, rings.size - 1, N_FITTED).round().astype(np.int64)]


def _judge(
    residual: NDArray[np.float64],
    points: RingPoints,
    two_theta: NDArray[np.float64],
    spacings: NDArray[np.float64],
    fitted: NDArray[np.int64],
    is_full: NDArray[np.bool_],
) -> list[RingResidual]:
    rings = []
    for ring in np.flatnonzero(points.n_found):
        here = residual[points.ring == ring]
        rings.append(
            RingResidual(
                spacing_angstrom=float(spacings[ring]),
                two_theta_deg=float(np.rad2deg(two_theta[ring])),
                n_found=here.size,
                n_searched=int(points.n_searched[ring]),
                mean_px=float(here.mean()),
                scatter_px=float(here.std()),
                role="fitted" if ring in fitted else "predicted" if is_full[ring] else "partial",
            )
        )
    return rings


def _rms(values: list[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values else float("nan")
