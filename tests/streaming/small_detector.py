"""A profile with a small detector, so that the whole process runs in tests on real sockets."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from operando.profile import Profile, read_profile

SHAPE = (195, 487)
ENERGY_EV = 103_500.0
PONI = """poni_version: 2.1
Detector: Pilatus100k
Detector_config: {"orientation": 3}
Distance: 0.5
Poni1: 0.0
Poni2: 0.04
Rot1: 0.0
Rot2: 0.0
Rot3: 0.0
Wavelength: 1.1979148e-11
"""


def small_profile(folder: Path, *, stream: str, journal: str, reduction: str = "tcp://127.0.0.1:*") -> Profile:
    """Give the demo's profile with a detector of 195 x 487 pixels and the addresses of a test."""
    (folder / "small.poni").write_text(PONI)
    demo = read_profile("demo")
    detector = {"model": "Pilatus 100k", "n_rows": SHAPE[0], "n_columns": SHAPE[1], "stream": stream}
    return demo.model_copy(
        update={
            "folder": folder,
            "detector": demo.detector.model_copy(update=detector),
            "geometry": demo.geometry.model_copy(update={"poni": Path("small.poni")}),
            "integration": demo.integration.model_copy(update={"q_min": 0.5, "q_max": 6.0, "n_radial": 100}),
            "addresses": demo.addresses.model_copy(update={"journal": journal, "reduction": reduction}),
        }
    )


def flat_frame(counts: int) -> NDArray[np.uint32]:
    """Give an image with the same counts in every pixel, so that mean times correction tells the image."""
    return np.full(SHAPE, counts, dtype=np.uint32)
