"""The detector in space: two theta, solid angle and polarisation of every pixel, from the numbers of a PONI file.

Receives the file and the shape of the detector; gives what a frame is drawn through. The convention is pyFAI's
(https://pyfai.readthedocs.io, "Detector geometry"): distance and point of normal incidence in metre, three rotations in radian.
The code is the twin's own.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operando.errors import MissingInputError, ProfileError


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Where a flat detector is."""

    distance_m: float
    poni1_m: float
    """Point of normal incidence along the rows' direction (slow, from the first row)."""
    poni2_m: float
    rot1_rad: float
    rot2_rad: float
    rot3_rad: float
    wavelength_angstrom: float
    pixel_m: float
    n_rows: int
    n_columns: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelView:
    """What the camera gives for each pixel, arrays of shape (row, column)."""

    two_theta_rad: NDArray[np.float64]
    azimuth_rad: NDArray[np.float64]
    """Angle around the beam, from the lab's horizontal axis (columns) towards the vertical one (rows)."""
    solid_angle: NDArray[np.float64]
    """Relative to a pixel at the point of normal incidence."""


def read_camera(
    poni: Path, *, pixel_m: float, n_rows: int, n_columns: int, named_by: str = "geometry.poni in the profile"
) -> Camera:
    """Read the numbers of a PONI file, which an error says to be ``named_by``; the detector's own lines in it are not used.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If a number is missing or is none, or the image would be flipped.
    """
    try:
        lines = poni.read_text(encoding="utf-8").splitlines()
    except OSError as missing:
        raise MissingInputError(f"cannot read the geometry {poni}: {missing.strerror}; check {named_by}") from missing
    entries = dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    if (orientation := re.search(r'"orientation":\s*(\d+)', entries.get("Detector_config", ""))) and orientation[1] != "3":
        raise ProfileError(
            f"{poni} is for orientation {orientation[1]}, the twin draws its detector in orientation 3: calibrate so"
        )
    try:
        numbers = {key: float(entries[key]) for key in ("Distance", "Poni1", "Poni2", "Rot1", "Rot2", "Rot3", "Wavelength")}
    except (KeyError, ValueError) as wrong:
        raise ProfileError(
            f"{poni} is not a complete PONI file: {wrong}; write it with pyFAI or `operando calibrate`"
        ) from wrong
    return Camera(
        distance_m=numbers["Distance"],
        poni1_m=numbers["Poni1"],
        poni2_m=numbers["Poni2"],
        rot1_rad=numbers["Rot1"],
        rot2_rad=numbers["Rot2"],
        rot3_rad=numbers["Rot3"],
        wavelength_angstrom=numbers["Wavelength"] * 1e10,
        pixel_m=pixel_m,
        n_rows=n_rows,
        n_columns=n_columns,
    )


def view_pixels(camera: Camera) -> PixelView:
    """Give direction and solid angle of every pixel's centre."""
    along_1 = ((np.arange(camera.n_rows) + 0.5) * camera.pixel_m - camera.poni1_m)[:, np.newaxis]
    along_2 = ((np.arange(camera.n_columns) + 0.5) * camera.pixel_m - camera.poni2_m)[np.newaxis, :]
    to_lab = _rotation(camera)
    lab_1, lab_2, lab_3 = (row[0] * along_1 + row[1] * along_2 + row[2] * camera.distance_m for row in to_lab)
    across = np.hypot(lab_1, lab_2)
    slant = camera.distance_m / np.sqrt(along_1**2 + along_2**2 + camera.distance_m**2)
    return PixelView(two_theta_rad=np.arctan2(across, lab_3), azimuth_rad=np.arctan2(lab_1, lab_2), solid_angle=slant**3)


def direct_beam_m(camera: Camera) -> tuple[float, float]:
    """Give where the direct beam meets the detector: along the rows' direction and along the columns', metre."""
    along = _rotation(camera).T @ np.array([0.0, 0.0, 1.0])
    return (
        float(camera.poni1_m + camera.distance_m * along[0] / along[2]),
        float(camera.poni2_m + camera.distance_m * along[1] / along[2]),
    )


def polarisation(view: PixelView, *, factor: float) -> NDArray[np.float64]:
    """Give the polarisation factor of every pixel; ``factor`` is 1 for a beam polarised along the columns' axis, 0 for none."""
    cosine_squared = np.cos(view.two_theta_rad) ** 2
    return 0.5 * (1 + cosine_squared - factor * np.cos(2 * view.azimuth_rad) * (1 - cosine_squared))


def _rotation(camera: Camera) -> NDArray[np.float64]:
    """Turn detector coordinates (rows, columns, beam) into the lab's: rotations 1 and 2 are left-handed, 3 right-handed."""
    c1, s1 = np.cos(camera.rot1_rad), np.sin(camera.rot1_rad)
    c2, s2 = np.cos(camera.rot2_rad), np.sin(camera.rot2_rad)
    c3, s3 = np.cos(camera.rot3_rad), np.sin(camera.rot3_rad)
    about_1 = np.array([[1, 0, 0], [0, c1, -s1], [0, s1, c1]]).T
    about_2 = np.array([[c2, 0, s2], [0, 1, 0], [-s2, 0, c2]]).T
    about_3 = np.array([[c3, -s3, 0], [s3, c3, 0], [0, 0, 1]])
    return np.asarray(about_3 @ about_2 @ about_1)
