"""When a calibration must not be believed: wrong calibrant, wrong energy, flipped image, wrong start."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from operando.errors import CalibrationError
from streaming.calibrate.energy import EnergyFit
from streaming.calibrate.rings import RingPoints, beam_centre_px, radians_per_pixel

FLIPS = {"upside down": np.flipud, "left to right": np.fliplr, "by half a turn": lambda array: array[::-1, ::-1]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How far a calibration may be from what is expected, and on what each refusal rests.

    - A *wrong calibrant* has other ratios of spacings: its rings are not found, or do not predict each other.
      A calibrant with the same ratios but fewer rings leaves rings of the image unexplained.
    - A *wrong energy* is made up for by the distance at small angles. It shows in the distance, if the start's is trusted,
      and in the curvature of tan(2 theta) against the wavelength at large angles (:mod:`streaming.calibrate.energy`): on the
      real CeO2 frame, which shows 15 degrees, to 0.14 %. Smaller ones remain, and only a distance that was measured otherwise
      can find them.
    - A *flipped image* has the same rings. It shows where the image's dead pixels leave a mask that is not symmetric. Where the
      mask cannot tell, a beam that agrees much better with the start after mirroring the detector is taken for a flip; when the
      beam is within a few tenths of a pixel of the middle, or the start itself is as far off as the flip moves the beam, there
      is nothing to tell it by.
    """

    centre_px: float = 5.0
    """How far the beam may lie from the start's, pixels."""
    distance: float = 0.01
    """How much the distance may differ from the start's, as a part of it."""
    flip_px: float = 15.0
    """From how far off the start's beam says nothing of flips, pixels: it was not right in either case."""
    energy_sigmas: float = 4.0
    """By how many of its standard uncertainties the energy of the rings may differ from that which is held."""
    predicted_px: float = 0.1
    """RMS that predicted rings may have, pixels."""
    found: float = 0.5
    """Part of the expected rings that must be found."""
    unexplained: float = 0.3
    """Height over the median of the calibrant's rings at which a ring between them counts as unexplained."""


def refuse_flip_by_mask(is_measured: NDArray[np.bool_], mask: NDArray[np.bool_]) -> bool:
    """Refuse an image whose dead pixels fit the mask better after a flip; tell whether they prove that it is not flipped.

    Raises
    ------
    CalibrationError
        If they do, with the flip in words.
    """
    is_dead = ~is_measured
    n_outside = np.count_nonzero(is_dead & ~mask)
    is_proof = True
    for name, flip in FLIPS.items():
        n_flipped = np.count_nonzero(flip(is_dead) & ~mask)
        is_proof = is_proof and bool(n_flipped > 2 * n_outside + 50)
        if n_outside > 2 * n_flipped + 50:
            raise CalibrationError(
                f"the image is flipped {name}: {n_outside} of its dead pixels lie outside the mask, {n_flipped} when it is "
                "turned back: check the detector's orientation"
            )
    return is_proof


def refuse_rings(points: RingPoints, *, calibrant: str, limits: Tolerances) -> None:
    """Refuse an image that does not show the calibrant's rings.

    Raises
    ------
    CalibrationError
        If too few rings are there.
    """
    is_sought = points.n_searched >= 20
    is_found = is_sought & (points.n_found >= 0.6 * points.n_searched)
    n_full = np.count_nonzero(points.n_found >= 42)
    if is_found.sum() < limits.found * is_sought.sum() or n_full < 6:
        raise CalibrationError(
            f"{is_found.sum()} of {is_sought.sum()} rings of {calibrant} are where the start geometry expects them, "
            f"{n_full} of them nearly whole; wanted half, and 6 nearly whole: check calibrant, energy and start geometry"
        )


def refuse_unexplained(
    image: NDArray[Any],
    is_good: NDArray[np.bool_],
    geometry: Any,
    two_theta: NDArray[np.float64],
    *,
    calibrant: str,
    limits: Tolerances,
) -> None:
    """Refuse an image with strong rings where the calibrant has none.

    Raises
    ------
    CalibrationError
        If there is one, with the spacing of the strongest.
    """
    angle = np.asarray(geometry.center_array(image.shape, unit="2th_rad", scale=False))
    step = radians_per_pixel(geometry, 0.0)
    bin_of_pixel = (angle[is_good] / step).astype(np.int64)
    n_pixels = np.bincount(bin_of_pixel)
    profile = np.bincount(bin_of_pixel, image[is_good]) / np.maximum(n_pixels, 1)
    # A ring is a few bins wide: a running median over many more is what lies under it.
    height = np.where(n_pixels > 200, profile - median_filter(profile, 31), 0.0)
    expected = (two_theta[two_theta < angle.max()] / step).astype(np.int64)
    is_expected = np.zeros(height.size, dtype=np.bool_)
    for shift in range(-4, 5):
        is_expected[np.clip(expected + shift, 0, height.size - 1)] = True
    inner = expected[(expected > 4) & (expected < height.size - 4)][:8]
    typical = np.median([height[at - 4 : at + 5].max() for at in inner])
    foreign = np.where(is_expected, 0.0, height)
    if foreign.max() > limits.unexplained * typical:
        spacing = geometry.wavelength * 1e10 / (2.0 * np.sin(0.5 * (foreign.argmax() + 0.5) * step))
        raise CalibrationError(
            f"the image has a strong ring at {spacing:.3f} angstrom, {calibrant} has none there: check calibrant and energy"
        )


def refuse_energy(energy: EnergyFit, *, held_kev: float, limits: Tolerances) -> None:
    """Refuse a held energy that contradicts the curvature of the rings.

    Raises
    ------
    CalibrationError
        If it does, with what the rings say.
    """
    difference = energy.energy_kev - held_kev
    if abs(difference) > limits.energy_sigmas * energy.sigma_kev:
        raise CalibrationError(
            f"the rings' curvature says {energy.energy_kev:.2f} +- {energy.sigma_kev:.2f} keV, {held_kev:.2f} keV was given: "
            "check energy and calibrant, or refine the energy as well"
        )


def refuse_start(geometry: Any, start: Any, *, shape: tuple[int, int], is_upright: bool, limits: Tolerances) -> None:
    """Refuse a calibration that contradicts its start; ``is_upright`` says that a flip is already excluded.

    Raises
    ------
    CalibrationError
        If the beam, the distance or the handedness differ by more than the tolerances.
    """
    found, wanted = np.array(beam_centre_px(geometry)), np.array(beam_centre_px(start))
    mirrored = np.array(shape) - 1.0 - found
    for axis, name in enumerate(("upside down", "left to right")):
        direct, flipped = abs(found[axis] - wanted[axis]), abs(mirrored[axis] - wanted[axis])
        if not is_upright and 0.3 < direct < limits.flip_px and flipped < 0.2 * direct:
            raise CalibrationError(
                f"the image seems flipped {name}: the beam lies {direct:.2f} px from the start's, {flipped:.2f} px when "
                "the image is turned back: check the detector's orientation, or give a start geometry of this mounting"
            )
    shift_px = float(np.hypot(*(found - wanted)))
    if shift_px > limits.centre_px:
        raise CalibrationError(
            f"the beam lies {shift_px:.1f} px from the start geometry's, tolerated are {limits.centre_px:g}: "
            "the image is flipped, or the detector has moved and needs a new start geometry"
        )
    change = geometry.dist / start.dist - 1.0
    if abs(change) > limits.distance:
        raise CalibrationError(
            f"the distance would change by {100 * change:+.2f} %, tolerated are {100 * limits.distance:g} %: "
            "the energy is wrong, or the detector has moved and needs a new start geometry"
        )
