"""What passes from the workers to the join: one integrated image with its identity; and the seam to the integration."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from streaming.account import FrameKey
from streaming.integrate.sectors import Cake


class Pattern(Protocol):
    """What an integrator gives for one image; arrays have shape (n_radial,), float32."""

    @property
    def mean(self) -> NDArray[np.float32]:
        """Mean, photons per pixel."""
        ...

    @property
    def trimmed(self) -> NDArray[np.float32]:
        """Trimmed mean, photons per pixel."""
        ...

    @property
    def variance(self) -> NDArray[np.float32]:
        """Variance of the mean, (photons per pixel) squared."""
        ...

    @property
    def cake(self) -> Cake | None:
        """Patterns of the sectors of azimuth, where they are kept."""
        ...

    @property
    def n_saturated(self) -> int:
        """Pixels left out because they count more than the detector can."""
        ...


class FrameIntegrator(Protocol):
    """Makes a pattern of an image; called from several threads at once."""

    @property
    def q(self) -> NDArray[np.float64]:
        """Centres of the bins, shape (n_radial,), 1/angstrom."""
        ...

    def integrate(self, frame: NDArray[Any]) -> Pattern:
        """Reduce one image of the detector's shape, uint8, uint16 or uint32; the largest value of the type is masked."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """One image, integrated."""

    frame: FrameKey
    pattern: Pattern
    geometry_sha256: str
    received_s: float
    """When the image came off the wire, Unix epoch."""
