"""What a calibration comes to: a geometry, how far every ring lies from it, and what cannot be known."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyFAI.io.ponifile import PoniFile

from streaming.calibrate.energy import EnergyFit
from streaming.calibrate.rings import RingPoints


@dataclass(frozen=True, slots=True, kw_only=True)
class RingResidual:
    """How one ring lies against the calibrated geometry."""

    spacing_angstrom: float
    two_theta_deg: float
    n_found: int
    """Azimuthal sectors with a clear peak."""
    n_searched: int
    """Azimuthal sectors with enough usable pixels."""
    mean_px: float
    """Mean radial distance from the predicted ring, pixels; positive is outside."""
    scatter_px: float
    """Standard deviation of the sectors about their mean, pixels: shifted modules show here."""
    role: str
    """``fitted``; ``predicted``; or ``partial``, seen over too little of the azimuth to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CalibrationResult:
    """A geometry that predicts rings which it has not seen."""

    geometry: Any
    """The pyFAI geometry."""
    uncertainties: NDArray[np.float64]
    """Standard uncertainties of distance, poni1, poni2 (m), rot1 and rot2 (rad), shape (5,)."""
    calibrant: str
    energy_kev: float
    is_energy_held: bool
    energy: EnergyFit | None
    """What the rings say of the energy; None where there are too few of them."""
    rings: list[RingResidual]
    points: RingPoints
    """What was found on the rings, ``points.ring`` counting the rings that were searched."""
    residuals_px: NDArray[np.float64]
    """How far outside its ring each point lies, shape (n_points,), pixels."""
    two_theta: NDArray[np.float64]
    """Angles of the rings that were searched, rad."""
    fitted_px: float
    """RMS of ``mean_px`` over the fitted rings."""
    predicted_px: float
    """RMS of ``mean_px`` over the predicted rings: what the calibration is worth."""
    notes: tuple[str, ...] = ()
    """What a person should know before believing it, in sentences."""

    def table(self) -> str:
        """Give the result as text for a person."""
        geometry = self.geometry
        names = ("distance mm", "poni1 mm", "poni2 mm", "rot1 mrad", "rot2 mrad")
        pairs = zip(names, geometry.param, self.uncertainties, strict=False)
        lines = [f"{name:12s} {1e3 * value:12.4f} +- {1e3 * sigma:.4f}" for name, value, sigma in pairs]
        lines += [f"{self.calibrant}; {self._energy_in_words()}", *self.notes]
        lines.append("     d, A   2theta, deg   sectors   mean, px   scatter, px")
        lines += [
            f"{ring.spacing_angstrom:9.4f} {ring.two_theta_deg:12.4f} {ring.n_found:6d}/{ring.n_searched:<3d}"
            f"{ring.mean_px:+10.3f} {ring.scatter_px:12.3f}   {ring.role}"
            for ring in self.rings
        ]
        lines.append(f"RMS of ring means: fitted {self.fitted_px:.3f} px, predicted {self.predicted_px:.3f} px")
        return "\n".join(lines)

    def write_poni(self, path: Path) -> None:
        """Write the geometry as a ``.poni`` file, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            PoniFile(self.geometry).write(file)
        partial.replace(path)

    def _energy_in_words(self) -> str:
        held = f"{self.energy_kev:.4f} keV {'held' if self.is_energy_held else 'refined'}"
        if self.energy is None:
            return f"{held}; too few rings to say anything of the energy"
        return (
            f"{held}; the rings alone say {self.energy.energy_kev:.3f} +- {self.energy.sigma_kev:.3f} keV, with a correlation "
            f"of distance and energy of {self.energy.correlation:+.5f}: an energy wrong by less than "
            f"{100 * self.energy.sigma_kev / self.energy.energy_kev:.2f} % looks like a distance wrong by as much"
        )
