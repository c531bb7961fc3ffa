"""Is this the detector that the geometry was made for? Receives a START, gives a complaint in words, or none."""

from dataclasses import dataclass

from streaming.detector_message import SeriesStart

TOLERANCE = 1e-3
"""Relative. An energy that is off by more would move the outer rings by a pixel and more; monochromators repeat to 1e-4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedDetector:
    """What START must say, where it says anything."""

    shape: tuple[int, int]
    """Rows, columns."""
    pixel_m: float
    energy_ev: float
    """Photon energy of the geometry."""

    def complaint(self, start: SeriesStart) -> str:
        """Give the first thing that contradicts the profile's geometry, and what to do; empty if nothing does."""
        if start.shape is not None and start.shape != self.shape:
            found, wanted = _edges(start.shape), _edges(self.shape)
            return f"the detector sends {found} pixels, the profile has {wanted}: check binning and profile"
        if start.pixel_m is not None and not all(_is_close(edge, self.pixel_m) for edge in start.pixel_m):
            found = " x ".join(f"{1e6 * edge:.6g}" for edge in start.pixel_m)
            wanted = f"{1e6 * self.pixel_m:.6g}"
            return f"the detector has pixels of {found} um, the profile {wanted} um: use the profile of this detector"
        if start.energy_ev is not None and not _is_close(start.energy_ev, self.energy_ev):
            return (
                f"the detector is set to {start.energy_ev:.8g} eV, the geometry was calibrated at {self.energy_ev:.8g} eV: "
                "set the detector's photon energy, or calibrate again"
            )
        return ""


def _is_close(found: float, wanted: float) -> bool:
    # Written so that NaN is not close.
    return abs(found - wanted) <= TOLERANCE * wanted


def _edges(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"
