"""The twin's standard calibrates to the geometry that it was made with."""

import numpy as np
from pyFAI import load
from pyFAI.calibrant import get_calibrant
from pyFAI.goniometer import SingleGeometry

from acquisition.twin.cable import Pulse
from acquisition.twin.sample import make_frame_source, pixel_mask
from operando.profile import read_profile

N_RINGS = 9


def test_pyfai_finds_the_geometry_of_ceria_to_two_hundredths_of_a_pixel() -> None:
    """From 2 mm and 2 pixels off; the radius of every pixel between the rings that were used, RMS."""
    profile = read_profile("demo")
    assert profile.twin is not None
    twin = profile.twin.model_copy(update={"sample": "ceo2", "counts_per_pixel": 150.0})
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

    wanted, got = (one.center_array(unit="2th_rad") for one in (true, found))
    rings = np.array(ceria.get_2th())
    between = good & (wanted > 0.98 * rings[0]) & (wanted < 1.02 * rings[N_RINGS - 1])
    off_pixels = (np.tan(got) - np.tan(wanted))[between] * true.dist / 172e-6
    assert np.sqrt(np.mean(off_pixels**2)) < 0.02
