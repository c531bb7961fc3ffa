"""The simulated sample before the detector: from a gate pulse to the frame that it makes.

Wires slice, projector, cross-sections and detector; holds no physics of its own. The detector server asks for
``make_frame_source``, ``pixel_mask`` and ``write_truth``.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from pyFAI.detectors import detector_factory

from acquisition.twin.cable import Pulse
from acquisition.twin.camera import polarisation, read_camera, view_pixels
from acquisition.twin.jelly_roll import draw_winding, make_jelly_roll
from acquisition.twin.projector import areal_masses
from acquisition.twin.render import Canvas, draw_frame, make_canvas
from acquisition.twin.scattering import cross_section
from acquisition.twin.slice import Slice
from acquisition.twin.standard import make_standard
from acquisition.twin.truth import write_slice
from operando.errors import ProfileError
from operando.profile import Profile, Twin

logger = structlog.get_logger(__name__)

AIR_G_CM2 = 0.0012 * 15
"""Air between collimator and beam stop, 15 cm of it: the same for every pulse that has beam."""
PARTS_DEAD, PARTS_HOT = 2e-4, 3e-5
"""Of all pixels; a good detector."""
GAP_BIT, DEAD_BIT, HOT_BIT = 1, 2, 8
"""Bits of a SIMPLON pixel mask: no pixel, dead, over-responding."""
FREE_RUNNING = 1 << 40
"""Names of exposures that no pulse made start here, so that none has the noise of a pulse's."""
N_LEVEL_ANGLES = 16

SAMPLES: dict[str, Callable[[str, int], Slice]] = {
    "jelly-roll": lambda name, seed: make_jelly_roll(name, draw_winding(seed=seed)),
    "jelly-roll-a": lambda name, seed: make_jelly_roll(name, draw_winding(seed=seed + 1000)),
    "jelly-roll-b": lambda name, seed: make_jelly_roll(name, draw_winding(seed=seed), is_lithium_mirrored=True),
    "ceo2": lambda name, seed: make_standard(name, material="ceo2"),
}
"""What profile.twin.sample may name; each is made from its name and the twin's seed."""


class SampleFrames:
    """Frames of a slice; one object serves any number of threads, since nothing in it changes."""

    def __init__(self, profile: Profile) -> None:
        twin = twin_of(profile)
        self._sample = make_sample(profile)
        self._seed = twin.seed
        self._scan = profile.scan
        # While a gate is open the axis moves on by the part of a step that the exposure is of a period.
        self._beam_mm = profile.scan.step_mm * profile.scan.exposure_s / (profile.scan.exposure_s + profile.detector.readout_s)
        self._canvas, wavelength = _make_canvas(profile)
        angles = self._canvas.two_theta_rad
        self._air = AIR_G_CM2 * cross_section("air", angles, wavelength_angstrom=wavelength)
        self._curves = np.stack(
            [cross_section(material, angles, wavelength_angstrom=wavelength) for material in self._sample.materials]
        )
        self._counts = twin.counts_per_pixel / self._mean_through_the_middle()

    def frame(self, pulse: Pulse | None, image_id: int) -> NDArray[np.uint32]:
        """Give the counts of one exposure, shape (row, column); masked pixels hold the maximum.

        Without a pulse nobody says where the sample stands: it is then centred, at angle 0 and in full beam.
        """
        if pulse is None:
            curve = self._curve(s_mm=0.0, angle_deg=0.0)
            return draw_frame(self._canvas, curve, seed=self._seed, exposure=FREE_RUNNING + image_id)
        curve = self._curve(s_mm=pulse.fast_mm - self._scan.centre_mm, angle_deg=pulse.angle_deg)
        dose = max(0.0, pulse.beam) * pulse.exposure_s / self._scan.exposure_s
        return draw_frame(self._canvas, dose * curve, seed=self._seed, exposure=pulse.number)

    def _curve(self, *, s_mm: float, angle_deg: float) -> NDArray[np.float64]:
        """Give the mean counts of a pixel of unit weight at each radial node, shape (node,), for a nominal exposure."""
        return self._counts * self._scattered(s_mm=s_mm, angle_deg=angle_deg)

    def _scattered(self, *, s_mm: float, angle_deg: float) -> NDArray[np.float64]:
        masses = areal_masses(self._sample, angle_deg=angle_deg, s_mm=s_mm, width_mm=self._beam_mm)
        return masses @ self._curves + self._air

    def _mean_through_the_middle(self) -> float:
        angles = np.arange(N_LEVEL_ANGLES) * 180 / N_LEVEL_ANGLES
        curve = np.mean([self._scattered(s_mm=0.0, angle_deg=angle) for angle in angles], axis=0)
        return float(self._canvas.mean_weight @ curve)


def make_frame_source(profile: Profile) -> SampleFrames:
    """Make what the profile's detector sees of the profile's sample.

    Raises
    ------
    ProfileError
        If the profile has no twin, or names a sample, a detector or a geometry that does not exist or does not fit.
    """
    source = SampleFrames(profile)
    logger.info("sample ready", sample=twin_of(profile).sample, seed=twin_of(profile).seed)
    return source


def make_sample(profile: Profile) -> Slice:
    """Make the slice that the profile's twin names: the same name and seed give the same slice."""
    twin = twin_of(profile)
    if twin.sample not in SAMPLES:
        raise ProfileError(f"twin.sample: found {twin.sample!r}, wanted one of {', '.join(SAMPLES)}")
    return SAMPLES[twin.sample](twin.sample, twin.seed)


def write_truth(profile: Profile, path: Path) -> None:
    """Write the sample that the profile's twin shows; see ``docs/twin.md`` for the layout."""
    write_slice(make_sample(profile), path, seed=twin_of(profile).seed)


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
    mask = np.where(gaps != 0, GAP_BIT, 0).astype(np.uint32)
    random = np.random.Generator(np.random.Philox(key=twin_of(profile).seed))
    chosen = random.random(shape)
    mask[(chosen < PARTS_DEAD) & (mask == 0)] = DEAD_BIT
    mask[(chosen > 1 - PARTS_HOT) & (mask == 0)] = HOT_BIT
    return mask


def twin_of(profile: Profile) -> Twin:
    """Give the profile's twin section, or say that it has none."""
    if profile.twin is None:
        raise ProfileError(f"profile {profile.name!r} has no [twin] section: only a profile with one can be simulated")
    return profile.twin


def _make_canvas(profile: Profile) -> tuple[Canvas, float]:
    detector = profile.detector
    camera = read_camera(
        profile.path(profile.geometry.poni), pixel_m=detector.pixel_m, n_rows=detector.n_rows, n_columns=detector.n_columns
    )
    view = view_pixels(camera)
    polarised = polarisation(view, factor=profile.geometry.polarization)
    canvas = make_canvas(camera, view, polarisation=polarised, is_masked=pixel_mask(profile) != 0)
    return canvas, camera.wavelength_angstrom
