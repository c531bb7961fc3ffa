"""Fibre texture about the layers' normal: how strongly a reflection shows at an azimuth, for layers that lie at an angle.

A crystal axis is spread about the normal by the March-Dollase law (Dollase 1986, doi 10.1107/S0021889886089458) and turned
about it at random. The density of poles that lie at beta from that axis, seen at alpha from the normal, is then
sum over even l of w_l P_l(cos beta) P_l(cos alpha) (addition theorem of the Legendre polynomials), exactly, up to where the
series is cut.

At small scattering angles cos(alpha) = cos(eta) cos(psi), with eta from the horizontal and psi between the normal and the
horizontal: the tilt of the scattering vector by half of two theta (1 degree at graphite 002 and 103 keV) is left out. Each P_l
is then a finite sum of cos(2 j psi) cos(2 k eta), and a beam needs the moments of cos(2 j psi) alone.
"""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray

N_HARMONICS = 8
"""l = 0, 2, ... 14, and as many moments in psi and harmonics in eta."""
_N_NODES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Fibre:
    """Which crystal axis stands along the normal, and how well."""

    axis: tuple[float, float, float]
    """On the axes of :class:`acquisition.twin.structures.Diffraction`."""
    march: float
    """March parameter: 1 is random, below 1 the axis is preferred."""


_GRAPHITE = Fibre(axis=(0, 0, 1), march=0.55)
TEXTURES: dict[str, Fibre] = {
    # Calendered flakes lie flat: 6 times random along the normal, half of that 20 degrees off. All spreads are assumed.
    **dict.fromkeys(("graphite", "lic30", "lic12", "lic6"), _GRAPHITE),
    "cu": Fibre(axis=(1, 0, 0), march=0.7),
    "al": Fibre(axis=(1, 1, 0), march=0.75),
    "fe": Fibre(axis=(1, 1, 1), march=0.8),
}
"""Foils and can as fibres about the normal: a rolled sheet has a direction in its plane too, which is left out."""


def march_dollase(cosine: NDArray[np.float64], march: float) -> NDArray[np.float64]:
    """Give the density of the axis at an angle from the normal, 1 on average over the sphere."""
    squared = cosine**2
    return (march**2 * squared + (1 - squared) / march) ** -1.5


@functools.cache
def legendre_weights(march: float) -> NDArray[np.float64]:
    """Give w_l of the March-Dollase law for l = 0, 2, ..., shape (N_HARMONICS,); read-only."""
    nodes, weights = legendre.leggauss(_N_NODES)
    density = march_dollase(nodes, march)
    found = np.array([(4 * half + 1) / 2 * weights @ (density * even_legendre(half, nodes)) for half in range(N_HARMONICS)])
    found.flags.writeable = False
    return found


def even_legendre(half: int, cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give P_l at l = 2 ``half``."""
    return np.asarray(legendre.legval(cosine, [0] * (2 * half) + [1]))


def pole_density(fibre: Fibre, *, cosine_beta: NDArray[np.float64], cosine_alpha: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the density of poles, 1 for a random powder: ``cosine_beta`` from the axis, ``cosine_alpha`` from the normal."""
    weights = legendre_weights(fibre.march)
    terms = (
        weights[half] * even_legendre(half, cosine_beta) * even_legendre(half, cosine_alpha) for half in range(N_HARMONICS)
    )
    return np.asarray(sum(terms))


def harmonics() -> NDArray[np.float64]:
    """Give b in P_2h(cos(eta) cos(psi)) = sum of b[h, j, k] cos(2 j psi) cos(2 k eta), shape (h, j, k)."""
    n = 4 * N_HARMONICS
    cosine = np.cos(np.pi * np.arange(n) / n)
    product = np.outer(cosine, cosine)
    transform = np.stack([np.cos(2 * np.pi * np.arange(n) * j / n) for j in range(N_HARMONICS)])
    transform *= np.where(np.arange(N_HARMONICS) == 0, 1 / n, 2 / n)[:, np.newaxis]
    return np.stack([transform @ even_legendre(half, product) @ transform.T for half in range(N_HARMONICS)])
