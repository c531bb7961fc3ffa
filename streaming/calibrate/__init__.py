"""Calibration: the geometry of the detector from the powder rings of a calibrant.

Receives one image and a start geometry, gives a geometry that predicts rings it has not seen, or refuses with the reason.
"""

from streaming.calibrate.calibration import CalibrationResult, calibrate, calibrate_file
from streaming.calibrate.refuse import Tolerances

__all__ = ["CalibrationResult", "Tolerances", "calibrate", "calibrate_file"]
