"""Where every pixel looks: its q, its intensity correction and whether it counts, from a ``.poni`` file and masks.

pyFAI does the geometry; this module checks that the file belongs to the profile's detector, joins the masks and freezes it.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fabio
import numpy as np
import pyFAI
import xraydb
from numpy.typing import NDArray
from pyFAI.detectors import detector_factory

from operando.errors import MissingInputError, ProfileError
from operando.profile import Detector, Profile

HC_KEV_ANGSTROM = 12.398419843320026
"""Planck constant times the speed of light, keV angstrom; exact in the SI of 2019."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    """The layer of a detector that stops photons."""

    thickness_mm: float
    attenuation_per_mm: float

    def efficiency(self, cosine: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give the part of the photons that are stopped, over that at normal incidence: 1 - exp(-mu t / cos(incidence))."""
        depth = self.thickness_mm * self.attenuation_per_mm
        stopped: NDArray[np.float32] = np.expm1(-depth / cosine) / np.expm1(-depth)
        return stopped


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectorGeometry:
    """What integration must know of every pixel of a detector."""

    q: NDArray[np.float64]
    """Momentum transfer at the pixel's centre, shape (n_rows, n_columns), 1/angstrom."""
    correction: NDArray[np.float32]
    """Solid angle (1 at the point of normal incidence) times polarisation factor, same shape; counts are divided by it."""
    mask: NDArray[np.bool_]
    """True where a pixel never counts, same shape."""
    wavelength_angstrom: float
    eta_deg: NDArray[np.float32]
    """Azimuth around the beam from the projected rotation axis, same shape, degrees."""
    identity: str
    """The numbers that ``q`` and ``correction`` were computed from, as text."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        n_rows, n_columns = self.q.shape
        return n_rows, n_columns

    @property
    def sha256(self) -> str:
        """Hash of numbers and mask together: equal exactly when patterns are comparable bin by bin."""
        return hashlib.sha256(self.identity.encode() + np.packbits(self.mask).tobytes()).hexdigest()

    def with_mask(self, mask: NDArray[Any]) -> "DetectorGeometry":
        """Give the same geometry with more pixels masked, for instance the ``pixel_mask`` that the stream brings.

        Parameters
        ----------
        mask
            Shape (n_rows, n_columns), any dtype; non-zero is masked.
        """
        if mask.shape != self.shape:
            raise ValueError(f"mask has shape {mask.shape}, the detector {self.shape}: check binning and region of interest")
        return replace(self, mask=self.mask | (mask != 0))

    def with_flat(self, flat: NDArray[np.float32]) -> "DetectorGeometry":
        """Give the same geometry with counts divided by the response of each pixel as well.

        Raises
        ------
        ProfileError
            If it is that of another detector.
        """
        if flat.shape != self.shape:
            raise ProfileError(f"geometry.flat has shape {flat.shape}, the detector {self.shape}: give its flat field")
        correction = (self.correction * flat).astype(np.float32)
        identity = f"{self.identity} flat {hashlib.sha256(np.ascontiguousarray(flat).tobytes()).hexdigest()}"
        return replace(self, correction=_frozen(correction), identity=identity)


def read_geometry(profile: Profile) -> DetectorGeometry:
    """Give the geometry that a profile names, with the detector's gaps and the profile's mask file masked.

    Raises
    ------
    MissingInputError
        If the geometry or the mask file does not exist.
    ProfileError
        If a file cannot be read or belongs to another detector.
    """
    integrator = load_poni(profile.path(profile.geometry.poni))
    check_detector(integrator, profile.detector, source=profile.geometry.poni.name)
    geometry = make_geometry(
        integrator,
        _gaps(profile.detector),
        polarization=profile.geometry.polarization,
        rotation_axis_deg=profile.geometry.rotation_axis_deg,
        sensor=_sensor(profile, wavelength_angstrom=float(integrator.wavelength) * 1e10),
    )
    if profile.geometry.flat is not None:
        geometry = geometry.with_flat(read_flat(profile.path(profile.geometry.flat)))
    if profile.geometry.mask is None:
        return geometry
    path = profile.path(profile.geometry.mask)
    mask = read_mask(path)
    if mask.shape != geometry.shape:
        raise ProfileError(f"geometry.mask: {path.name} has shape {mask.shape}, the detector {geometry.shape}: give its mask")
    return geometry.with_mask(mask)


def make_geometry(
    integrator: Any,
    gaps: NDArray[np.bool_],
    *,
    polarization: float,
    rotation_axis_deg: float = 90.0,
    sensor: Sensor | None = None,
) -> DetectorGeometry:
    """Give the frozen geometry of a pyFAI geometry or integrator.

    Parameters
    ----------
    integrator
        A :class:`pyFAI.geometry.Geometry` with a wavelength.
    gaps
        Pixels that never count, shape (n_rows, n_columns).
    polarization
        Polarisation factor: 1 horizontal, -1 vertical, 0 none.
    rotation_axis_deg
        Direction of the projected rotation axis, from where the column number grows to where the row number grows.
    sensor
        What stops the photons; None counts all of them.
    """
    shape = gaps.shape
    q = np.asarray(integrator.array_from_unit(shape, "center", "q_nm^-1"), dtype=np.float64) / 10.0
    # The product of two float32 is what pyFAI divides by: the same numbers, so that results can be held against it.
    solid_angle = np.asarray(integrator.solidAngleArray(shape, absolute=False), dtype=np.float32)
    correction = np.asarray(integrator.polarization(shape, polarization), dtype=np.float32) * solid_angle
    chi_deg = np.rad2deg(np.asarray(integrator.array_from_unit(shape, "center", "chi_rad"), dtype=np.float64))
    if sensor is not None:
        # Solid angle over pixel area falls with the third power of the cosine of incidence (pyFAI's flat detectors).
        correction = (correction * sensor.efficiency(np.cbrt(solid_angle))).astype(np.float32)
    numbers = [float(value) for value in integrator.param] + [float(integrator.wavelength), float(integrator.pixel1)]
    if sensor is not None:
        numbers += [sensor.thickness_mm, sensor.attenuation_per_mm]
    orientation = int(getattr(integrator.detector, "orientation", 0) or 0)
    identity = " ".join(value.hex() for value in [*numbers, float(integrator.pixel2), float(polarization)]) + f" {orientation}"
    return DetectorGeometry(
        q=_frozen(q),
        correction=_frozen(correction),
        mask=_frozen(gaps.astype(np.bool_)),
        wavelength_angstrom=float(integrator.wavelength) * 1e10,
        eta_deg=_frozen(np.mod(chi_deg - rotation_axis_deg, 360.0).astype(np.float32)),
        identity=identity,
    )


def load_poni(path: Path) -> Any:
    """Read a ``.poni`` file; where it holds several calibrations, the last one counts, as in pyFAI.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If it is no geometry, or lacks the wavelength.
    """
    if not path.is_file():
        raise MissingInputError(f"no geometry file {path}: calibrate first, or correct geometry.poni in the profile")
    try:
        integrator = pyFAI.load(str(path))
    except Exception as wrong:  # pyFAI raises whatever its parser trips over
        raise ProfileError(f"geometry.poni: {path.name} is not a pyFAI geometry: {wrong}") from wrong
    numbers = [*integrator.param, integrator.pixel1, integrator.pixel2, integrator.wavelength]
    if None in numbers or not np.isfinite(numbers).all() or integrator.dist <= 0 or integrator.wavelength <= 0:
        raise ProfileError(f"geometry.poni: {path.name} lacks a distance, a pixel size or a wavelength: calibrate again")
    return integrator


def check_detector(integrator: Any, detector: Detector, *, source: str) -> None:
    """Refuse a geometry that was made for another detector.

    Raises
    ------
    ProfileError
        If pixel size or shape differ.
    """
    pixels_m = np.array([integrator.pixel1, integrator.pixel2], dtype=np.float64)
    if not np.allclose(pixels_m, detector.pixel_m, rtol=1e-4):
        found = " x ".join(f"{1e6 * edge:.6g}" for edge in pixels_m)
        raise ProfileError(
            f"geometry.poni: {source} has pixels of {found} um, the profile's detector {1e6 * detector.pixel_m:.6g} um: "
            "give the geometry of this detector"
        )
    shape = integrator.detector.shape
    if shape is not None and tuple(shape) != (detector.n_rows, detector.n_columns):
        raise ProfileError(
            f"geometry.poni: {source} is for {shape[0]} x {shape[1]} pixels, the profile's detector has "
            f"{detector.n_rows} x {detector.n_columns}: give the geometry of this detector"
        )


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Read a mask file, ``.npy`` or any image that fabio knows; non-zero is masked.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If it cannot be read.
    """
    if not path.is_file():
        raise MissingInputError(f"no mask file {path}: correct geometry.mask in the profile")
    try:
        values = np.load(path, allow_pickle=False) if path.suffix == ".npy" else fabio.open(str(path)).data
    except Exception as wrong:  # fabio raises whatever its parsers trip over
        raise ProfileError(f"geometry.mask: {path.name} is not an image: {wrong}") from wrong
    return np.asarray(values != 0)


def _sensor(profile: Profile, *, wavelength_angstrom: float) -> Sensor | None:
    settings = profile.geometry
    if not settings.sensor or settings.sensor_m is None:
        return None
    energy_ev = 1e3 * HC_KEV_ANGSTROM / wavelength_angstrom
    try:
        attenuation_per_cm = float(xraydb.material_mu(settings.sensor, energy_ev, density=settings.sensor_g_cm3))
    except Exception as wrong:  # xraydb raises whatever its parser trips over
        raise ProfileError(
            f"geometry.sensor: nothing is known of {settings.sensor!r} at {energy_ev:.0f} eV ({wrong}): write a formula, and "
            "its density in sensor_g_cm3"
        ) from wrong
    return Sensor(thickness_mm=1e3 * settings.sensor_m, attenuation_per_mm=0.1 * attenuation_per_cm)


def read_flat(path: Path) -> NDArray[np.float32]:
    """Read a flat field.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If it is no array of positive numbers.
    """
    if not path.is_file():
        raise MissingInputError(f"no flat field {path}: correct geometry.flat in the profile, or make one with operando flat")
    try:
        flat = np.load(path, allow_pickle=False).astype(np.float32)
    except (OSError, ValueError, TypeError) as wrong:
        raise ProfileError(f"geometry.flat: {path.name} is not an array that NumPy saved: {wrong}") from wrong
    if not (np.isfinite(flat).all() and (flat > 0).all()):
        raise ProfileError(f"geometry.flat: {path.name} holds responses that are not above zero: mask such pixels instead")
    return np.asarray(flat)


def _gaps(detector: Detector) -> NDArray[np.bool_]:
    shape = (detector.n_rows, detector.n_columns)
    try:
        model = detector_factory(detector.model)
    except RuntimeError as wrong:
        raise ProfileError(f"detector.model: pyFAI knows no detector {detector.model!r}: use one of its names") from wrong
    if model.max_shape is not None and tuple(model.max_shape) != shape:
        raise ProfileError(f"detector.model: {detector.model} has {model.max_shape} pixels, n_rows and n_columns say {shape}")
    gaps = model.mask
    return np.zeros(shape, dtype=np.bool_) if gaps is None else np.asarray(gaps) != 0


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.setflags(write=False)
    return array
