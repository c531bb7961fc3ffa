"""The detector of a profile as the twin has it: where it is, which pixels are bad, what spoils a frame.

Wires camera, canvas and blemishes; knows nothing of the sample but where its large grains are.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pyFAI.detectors import detector_factory

from acquisition.twin.blemishes import (
    HOT_COUNTS,
    Flashes,
    Limits,
    add_spots,
    add_zingers,
    draw_bad_pixels,
    draw_flashes,
    generator,
    shadow,
)
from acquisition.twin.camera import Camera, polarisation, read_camera, view_pixels
from acquisition.twin.footprint import Beam
from acquisition.twin.render import MASKED, Canvas, make_canvas
from acquisition.twin.slice import Slice
from operando.errors import ProfileError
from operando.profile import Effects, Profile, Twin

PARTS_DEAD, PARTS_HOT = 2e-4, 3e-5
"""Of all pixels; a good detector, whose mask knows them."""
GAP_BIT, DEAD_BIT, HOT_BIT = 1, 2, 8
"""Bits of a SIMPLON pixel mask: no pixel, dead, over-responding."""
SPOT_COUNTS_PER_PIXEL = 500.0
"""Counts of a large grain's strongest spot for each mean count of a pixel."""
_ZINGER_STREAM, _SPOT_STREAM, _HOT_STREAM = 1 << 20, 1 << 21, 1 << 22
"""Streams of random numbers that no counting draw has."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Optics:
    """What frames are drawn through."""

    camera: Camera
    """With the true wavelength, which the PONI file need not have."""
    nominal_wavelength_angstrom: float
    """That of the PONI file."""
    canvas: Canvas
    is_masked: NDArray[np.bool_]
    highest: int
    """Where a pixel stops counting."""

    def round(self, expected: NDArray[np.float32]) -> NDArray[np.uint32]:
        """Give a frame without counting statistics."""
        counts = np.minimum(np.rint(expected), self.highest).astype(np.uint32)
        return np.where(self.is_masked, np.uint32(MASKED), counts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Blemishes:
    """What is added to a frame after counting."""

    effects: Effects
    camera: Camera
    seed: int
    limits: Limits
    flashes: Flashes | None
    hot: tuple[NDArray[np.intp], ...] | None
    """Rows and columns of the hot pixels."""

    def add(self, frame: NDArray[np.uint32], beam: Beam, *, dose: float, exposure: int) -> None:
        """Spoil a frame in place, the same way for the same exposure."""
        effects = self.effects
        if self.flashes is not None:
            random = generator(seed=self.seed, exposure=exposure, purpose=_SPOT_STREAM)
            add_spots(
                frame, self.limits, self.flashes, beam, self.camera, has_parallax=effects.parallax, dose=dose, random=random
            )
        if effects.zingers > 0:
            random = generator(seed=self.seed, exposure=exposure, purpose=_ZINGER_STREAM)
            add_zingers(frame, self.limits, mean=effects.zingers, random=random)
        if self.hot is not None:
            random = generator(seed=self.seed, exposure=exposure, purpose=_HOT_STREAM)
            self.limits.add(frame, self.hot, random.poisson(HOT_COUNTS, size=self.hot[0].size))


def make_optics(profile: Profile) -> Optics:
    """Make the detector of a profile with a twin.

    Raises
    ------
    ProfileError
        If detector or geometry do not exist or do not fit.
    """
    effects = twin_of(profile).effects
    camera = read_camera(
        profile.path(profile.geometry.poni),
        pixel_m=profile.detector.pixel_m,
        n_rows=profile.detector.n_rows,
        n_columns=profile.detector.n_columns,
    )
    view = view_pixels(camera)
    is_masked = pixel_mask(profile) != 0
    canvas = make_canvas(
        camera,
        view,
        polarisation=polarisation(view, factor=profile.geometry.polarization),
        is_masked=is_masked,
        response=_response(profile, camera),
        depends_on_azimuth=effects.texture or effects.absorption == "first-order",
    )
    return Optics(
        camera=_with_true_energy(camera, effects),
        nominal_wavelength_angstrom=camera.wavelength_angstrom,
        canvas=canvas,
        is_masked=is_masked,
        highest=profile.detector.saturation_counts if effects.saturation else MASKED - 1,
    )


def make_camera(profile: Profile) -> Camera:
    """Give the camera of a profile with a twin, with the true wavelength."""
    detector = profile.detector
    nominal = read_camera(
        profile.path(profile.geometry.poni), pixel_m=detector.pixel_m, n_rows=detector.n_rows, n_columns=detector.n_columns
    )
    return _with_true_energy(nominal, twin_of(profile).effects)


def _with_true_energy(camera: Camera, effects: Effects) -> Camera:
    return replace(camera, wavelength_angstrom=camera.wavelength_angstrom / (1 + effects.energy_error))


def make_blemishes(profile: Profile, sample: Slice, optics: Optics) -> Blemishes:
    """Make what spoils the frames of a sample."""
    twin = twin_of(profile)
    effects = twin.effects
    flashes = None
    if effects.grains > 0:
        q_max = 4 * np.pi / optics.camera.wavelength_angstrom * np.sin(optics.canvas.grid.two_theta_rad[-1] / 2)
        counts = SPOT_COUNTS_PER_PIXEL * twin.counts_per_pixel
        flashes = draw_flashes(sample, n_grains=effects.grains, q_max=float(q_max), counts=counts, seed=twin.seed)
    hot = None
    if effects.bad_pixels > 0:
        is_hot = draw_bad_pixels(optics.is_masked.shape, part=effects.bad_pixels, seed=twin.seed)[1] & ~optics.is_masked
        hot = np.nonzero(is_hot)
    return Blemishes(
        effects=effects,
        camera=optics.camera,
        seed=twin.seed,
        limits=Limits(is_masked=optics.is_masked, highest=optics.highest),
        flashes=flashes,
        hot=hot,
    )


def pixel_mask(profile: Profile) -> NDArray[np.uint32]:
    """Give the detector's pixel mask, shape (row, column): 0 good, else bits as SIMPLON defines them."""
    detector = profile.detector
    try:
        gaps = detector_factory(detector.model).mask
    except RuntimeError as unknown:
        raise ProfileError(f"detector.model: pyFAI does not know {detector.model!r}; give one of its names") from unknown
    shape = (detector.n_rows, detector.n_columns)
    if gaps is None or gaps.shape != shape:
        found = "no mask" if gaps is None else f"shape {gaps.shape}"
        raise ProfileError(f"detector.model {detector.model!r} has {found}, the profile has shape {shape}: make them agree")
    twin = twin_of(profile)
    mask = np.where(gaps != 0, GAP_BIT if twin.effects.module_gaps else 0, 0).astype(np.uint32)
    if twin.effects.masked_pixels:
        chosen = np.random.Generator(np.random.Philox(key=twin.seed)).random(shape)
        mask[(chosen < PARTS_DEAD) & (mask == 0)] = DEAD_BIT
        mask[(chosen > 1 - PARTS_HOT) & (mask == 0)] = HOT_BIT
    return mask


def twin_of(profile: Profile) -> Twin:
    """Give the profile's twin section, or say that it has none."""
    if profile.twin is None:
        raise ProfileError(f"profile {profile.name!r} has no [twin] section: only a profile with one can be simulated")
    return profile.twin


def _response(profile: Profile, camera: Camera) -> NDArray[np.float64] | None:
    twin = twin_of(profile)
    if twin.effects.bad_pixels == 0 and twin.effects.beam_stop_mm == 0:
        return None
    response = np.ones((camera.n_rows, camera.n_columns))
    if twin.effects.beam_stop_mm > 0:
        response *= shadow(camera, radius_mm=twin.effects.beam_stop_mm)
    if twin.effects.bad_pixels > 0:
        response[draw_bad_pixels(response.shape, part=twin.effects.bad_pixels, seed=twin.seed)[0]] = 0.0
    return response
