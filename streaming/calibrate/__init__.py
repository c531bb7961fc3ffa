"""Calibration: the geometry of the detector from the powder rings of a calibrant.

Receives one image and a start geometry, gives a geometry that predicts rings it has not seen, or refuses with the reason.
"""

from streaming.calibrate.calibration import calibrate
from streaming.calibrate.files import calibrate_file
from streaming.calibrate.refuse import Tolerances
from streaming.calibrate.result import CalibrationResult

__all__ = ["CalibrationResult", "Tolerances", "calibrate", "calibrate_file"]
