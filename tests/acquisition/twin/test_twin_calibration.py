"""The twin's standard calibrates to the geometry that it was made with."""

import numpy as np
from pyFAI import load
from pyFAI.calibrant import get_calibrant
from pyFAI.goniometer import SingleGeometry

from acquisition.twin.cable import Pulse
from acquisition.twin.sample import make_frame_source, pixel_mask
from operando.profile import Effects, read_profile

N_RINGS = 9
PIXEL_M = 172e-6


def calibrated(*, counts_per_pixel: float = 150.0, **effects: float) -> float:
    """Give how far the radius of a pixel is off after a fit from 2 mm and 2 pixels away: RMS over the whole frame, pixels.

    ``refine3`` stops before distance, place and tilt are told apart, which pixels beyond the rings show: ``refine1`` goes to
    the end. Points that pyFAI found beside their ring, a few in a hundred, are left out before.
    """
    profile = read_profile("demo")
    assert profile.twin is not None
    twin = profile.twin.model_copy(
        update={"sample": "ceo2", "counts_per_pixel": counts_per_pixel, "effects": Effects(**effects)}
    )
    profile = profile.model_copy(update={"twin": twin})
    pulse = Pulse(number=1, time_s=0, exposure_s=0.03905, fast_mm=0, angle_deg=0, beam=1)
    good = pixel_mask(profile) == 0
    frame = np.where(good, make_frame_source(profile).frame(pulse, image_id=0), 0).astype(np.float32)
    poni = str(profile.path(profile.geometry.poni))
    true, start = load(poni), load(poni)
    start.dist, start.poni1, start.poni2, start.rot1, start.rot2 = start.dist + 2e-3, 0.1458, 0.124, 0.0, 0.0
    start.detector.mask = (~good).astype(np.int8)
    ceria = get_calibrant("CeO2")
    ceria.wavelength = true.wavelength
    single = SingleGeometry("ceria", frame, calibrant=ceria, detector=start.detector, geometry=start)
    single.extract_cp(max_rings=N_RINGS, pts_per_deg=10.0)
    found = single.geometry_refinement
    found.refine3(fix=["wavelength", "rot3"])
    for _ in range(2):
        points = np.array(found.data)
        ring = np.array(ceria.get_2th())[points[:, 2].astype(int)]
        off = np.abs(found.tth(points[:, 0], points[:, 1]) - ring)
        found.data = points[off < 3 * 1.4826 * np.median(off)]
        found.refine1()
    wanted, got = (one.center_array(unit="2th_rad") for one in (true, found))
    off_pixels = (np.tan(got) - np.tan(wanted))[good] * true.dist / PIXEL_M
    return float(np.sqrt(np.mean(off_pixels**2)))


def test_pyfai_finds_the_geometry_of_ceria_to_two_hundredths_of_a_pixel_over_the_whole_frame() -> None:
    assert calibrated() < 0.02


def test_a_standard_that_stands_elsewhere_calibrates_to_elsewhere() -> None:
    """0.2 mm nearer to the detector: 2e-4 of radii up to some 1100 pixels."""
    assert 0.05 < calibrated(axis_downstream_mm=0.2) < 0.25
