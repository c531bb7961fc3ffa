"""From the image of a calibrant and a geometry that is nearly right to the right geometry, or a refusal with its reason."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fabio
import numpy as np
from numpy.typing import NDArray
from pyFAI.io.ponifile import PoniFile

from operando.errors import CalibrationError, MissingInputError
from operando.profile import Profile
from streaming.calibrate.fit import fit_geometry, residuals_px
from streaming.calibrate.refuse import Tolerances, refuse_flip_by_mask, refuse_rings, refuse_start, refuse_unexplained
from streaming.calibrate.rings import RingPoints, find_points, isolated, radius_of, spacings_of, two_theta_of
from streaming.integrate.geometry import HC_KEV_ANGSTROM, check_detector, load_poni, read_geometry

SEARCHES_PX = (10.0, 5.0)
"""Windows of the two searches: the first forgives a start that is 8 pixels off, the second keeps neighbours out."""
N_FITTED = 5
"""Rings that are fitted; the others are predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RingResidual:
    """How one ring lies against the calibrated geometry."""

    spacing_angstrom: float
    two_theta_deg: float
    n_found: int
    """Azimuthal sectors with a clear peak."""
    n_searched: int
    """Azimuthal sectors with enough usable pixels."""
    mean_px: float
    """Mean radial distance from the predicted ring, pixels; positive is outside."""
    scatter_px: float
    """Standard deviation of the sectors about their mean, pixels: shifted modules show here."""
    role: str
    """``fitted``; ``predicted``; or ``partial``, seen over too little of the azimuth to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationResult:
    """A geometry that predicts rings which it has not seen."""

    geometry: Any
    """The pyFAI geometry."""
    uncertainties: NDArray[np.float64]
    """Standard uncertainties of distance, poni1, poni2 (m), rot1 and rot2 (rad), shape (5,)."""
    calibrant: str
    energy_kev: float
    rings: list[RingResidual]
    fitted_px: float
    """RMS of ``mean_px`` over the fitted rings."""
    predicted_px: float
    """RMS of ``mean_px`` over the predicted rings: what the calibration is worth."""

    def table(self) -> str:
        """Give the result as text for a person."""
        geometry = self.geometry
        names = ("distance mm", "poni1 mm", "poni2 mm", "rot1 mrad", "rot2 mrad")
        pairs = zip(names, geometry.param, self.uncertainties, strict=False)
        lines = [f"{name:12s} {1e3 * value:12.4f} +- {1e3 * sigma:.4f}" for name, value, sigma in pairs]
        lines.append(f"{self.calibrant} at {self.energy_kev:g} keV, energy held")
        lines.append("     d, A   2theta, deg   sectors   mean, px   scatter, px")
        lines += [
            f"{ring.spacing_angstrom:9.4f} {ring.two_theta_deg:12.4f} {ring.n_found:6d}/{ring.n_searched:<3d}"
            f"{ring.mean_px:+10.3f} {ring.scatter_px:12.3f}   {ring.role}"
            for ring in self.rings
        ]
        lines.append(f"RMS of ring means: fitted {self.fitted_px:.3f} px, predicted {self.predicted_px:.3f} px")
        return "\n".join(lines)

    def write_poni(self, path: Path) -> None:
        """Write the geometry as a ``.poni`` file, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            PoniFile(self.geometry).write(file)
        partial.replace(path)


def calibrate_file(
    profile: Profile, image_path: Path, *, calibrant: str = "CeO2", energy_kev: float | None = None
) -> CalibrationResult:
    """Calibrate with an image file, starting from the geometry of a profile.

    Parameters
    ----------
    profile
        Names the start geometry, the detector and the mask.
    image_path
        An image that fabio reads; negative or largest values of its type are no measurements.
    calibrant
        Name of the calibrant as pyFAI knows it.
    energy_kev
        Photon energy; None takes that of the start geometry.

    Raises
    ------
    MissingInputError
        If a file does not exist.
    ProfileError
        If the start geometry or the mask belongs to another detector.
    CalibrationError
        If the image cannot be read or the calibration is refused.
    """
    if not image_path.is_file():
        raise MissingInputError(f"no image {image_path}: give the file of a calibrant's frame")
    try:
        image = np.asarray(fabio.open(str(image_path)).data)
    except Exception as wrong:  # fabio raises whatever its parsers trip over
        raise CalibrationError(f"{image_path.name} is not an image that fabio reads: {wrong}") from wrong
    start = load_poni(profile.path(profile.geometry.poni))
    check_detector(start, profile.detector, source=profile.geometry.poni.name)
    return calibrate(image, start, mask=read_geometry(profile).mask, calibrant=calibrant, energy_kev=energy_kev)


def calibrate(
    image: NDArray[Any],
    start: Any,
    *,
    mask: NDArray[np.bool_],
    calibrant: str = "CeO2",
    energy_kev: float | None = None,
    tolerances: Tolerances | None = None,
) -> CalibrationResult:
    """Find distance, point of normal incidence and two tilts from the rings of a calibrant; the energy is held.

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

    Raises
    ------
    CalibrationError
        If the image does not fit calibrant, energy and start, with the reason.
    """
    if image.shape != mask.shape:
        raise CalibrationError(f"image has shape {image.shape}, the detector {mask.shape}: give a full frame of this detector")
    limits = tolerances or Tolerances()
    is_measured = _is_measured(image)
    is_upright = refuse_flip_by_mask(is_measured, mask)
    wavelength_angstrom = HC_KEV_ANGSTROM / energy_kev if energy_kev else float(start.wavelength) * 1e10
    spacings = spacings_of(calibrant)
    geometry, uncertainties = start.__copy__(), np.zeros(5)
    geometry.wavelength = wavelength_angstrom * 1e-10
    two_theta = two_theta_of(spacings, wavelength_angstrom=wavelength_angstrom)
    for window_px in SEARCHES_PX:
        chosen, points = _search(image, is_measured & ~mask, geometry, two_theta, window_px=window_px)
        is_full = _is_full(points)
        refuse_rings(points, calibrant=calibrant, limits=limits)
        fitted = _spread(np.flatnonzero(is_full)) if window_px == SEARCHES_PX[-1] else np.flatnonzero(is_full)
        geometry, uncertainties = fit_geometry(geometry, points.only(np.isin(points.ring, fitted)), two_theta[chosen])
    rings = _judge(geometry, points, two_theta[chosen], spacings[chosen], fitted, is_full)
    result = CalibrationResult(
        geometry=geometry,
        uncertainties=uncertainties,
        calibrant=calibrant,
        energy_kev=HC_KEV_ANGSTROM / wavelength_angstrom,
        rings=rings,
        fitted_px=_rms([ring.mean_px for ring in rings if ring.role == "fitted"]),
        predicted_px=_rms([ring.mean_px for ring in rings if ring.role == "predicted"]),
    )
    if not result.predicted_px <= limits.predicted_px:
        raise CalibrationError(
            f"{calibrant} at {result.energy_kev:.2f} keV: {len(fitted)} rings predict the others only within "
            f"{result.predicted_px:.2f} px, wanted {limits.predicted_px:g}: check energy and calibrant"
        )
    refuse_unexplained(image, is_measured & ~mask, geometry, two_theta, calibrant=calibrant, limits=limits)
    refuse_start(geometry, start, shape=image.shape, is_upright=is_upright, limits=limits)
    return result


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
    geometry: Any,
    points: RingPoints,
    two_theta: NDArray[np.float64],
    spacings: NDArray[np.float64],
    fitted: NDArray[np.int64],
    is_full: NDArray[np.bool_],
) -> list[RingResidual]:
    residual = residuals_px(geometry, points, two_theta)
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
