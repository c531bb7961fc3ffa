"""Calibration with the files that a person has: a profile and the image of a calibrant."""

from pathlib import Path
from typing import Any

import fabio
import numpy as np
from numpy.typing import NDArray

from operando.errors import CalibrationError, MissingInputError
from operando.profile import Profile
from streaming.calibrate.calibration import calibrate
from streaming.calibrate.refuse import Tolerances
from streaming.calibrate.result import CalibrationResult
from streaming.integrate.geometry import check_detector, load_poni, read_geometry


def calibrate_file(
    profile: Profile,
    image_path: Path,
    *,
    calibrant: str = "CeO2",
    energy_kev: float | None = None,
    refine_energy: bool = False,
) -> CalibrationResult:
    """Calibrate with an image file; the profile's geometry need not be right by centimetres or some ten pixels.

    Parameters
    ----------
    profile
        Names the nominal geometry, how well it is known, the detector and the mask.
    image_path
        An image that fabio reads; negative or largest values of its type are no measurements.
    calibrant
        Name of the calibrant as pyFAI knows it.
    energy_kev
        Photon energy; None takes that of the nominal geometry.
    refine_energy
        Whether the energy is fitted too.

    Raises
    ------
    MissingInputError
        If a file does not exist.
    ProfileError
        If the nominal geometry or the mask belongs to another detector.
    CalibrationError
        If the image cannot be read or the calibration is refused.
    """
    image = read_image(image_path)
    start = load_poni(profile.path(profile.geometry.poni))
    check_detector(start, profile.detector, source=profile.geometry.poni.name)
    return calibrate(
        image,
        start,
        mask=read_geometry(profile).mask,
        calibrant=calibrant,
        energy_kev=energy_kev,
        tolerances=tolerances_of(profile, start),
        is_automatic=True,
        refine_energy=refine_energy,
    )


def read_image(path: Path) -> NDArray[Any]:
    """Read the first image of a file.

    Raises
    ------
    MissingInputError
        If there is no such file.
    CalibrationError
        If it is no image.
    """
    if not path.is_file():
        raise MissingInputError(f"no image {path}: give the file of a frame")
    try:
        return np.asarray(fabio.open(str(path)).data)
    except Exception as wrong:  # fabio raises whatever its parsers trip over
        raise CalibrationError(f"{path.name} is not an image that fabio reads: {wrong}") from wrong


def tolerances_of(profile: Profile, start: Any) -> Tolerances:
    """Give how far a calibration may be from a profile's geometry: as it says, else as far as the automatic start looks."""
    known = profile.geometry
    distance = 0.6 if known.distance_tolerance_mm is None else 1e-3 * known.distance_tolerance_mm / float(start.dist)
    reach_px = 0.35 * max(profile.detector.n_rows, profile.detector.n_columns)
    beam_px = reach_px if known.beam_tolerance_mm is None else 1e-3 * known.beam_tolerance_mm / profile.detector.pixel_m
    return Tolerances(distance=distance, centre_px=beam_px)
