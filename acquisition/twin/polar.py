"""From masses in channels and layers to the mean of every place on the detector, on a polar grid.

Receives what :mod:`acquisition.twin.deep` adds up; gives a grid of azimuths and radial nodes. The azimuth eta counts from the
direction of the fast axis (columns); up and down are alike, since the sample does not change along the rotation axis.

A layer at depth z scatters from nearer to the detector: its rings have (L - z) / L of the radius, tan(2 theta) (1 - z/L), and a
pixel sees it under a solid angle larger by (L / (L - z))^2.
"""

import numpy as np
from numba import float32, float64, njit, void
from numpy.typing import NDArray

BLOCK = 256
"""Nodes at a time: their sums over all layers stay in the second cache."""


@njit(void(float64[:, ::1], float32[:, ::1], float32[:, :, ::1], float32[:, :, ::1]), cache=True, nogil=True)
def sum_curves(
    masses: NDArray[np.float64], plain: NDArray[np.float32], textured: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Add up the curves of all channels, out[layer, harmonic, node]; plain channels have the harmonic 0 alone."""
    n_layers, n_harmonics, n_nodes = out.shape
    n_plain = plain.shape[0]
    out[:] = 0
    for first in range(0, n_nodes, BLOCK):
        last = min(first + BLOCK, n_nodes)
        for channel in range(masses.shape[1]):
            for layer in range(n_layers):
                mass = np.float32(masses[layer, channel])
                if mass == 0:
                    continue
                if channel < n_plain:
                    curve, into = plain[channel, first:last], out[layer, 0, first:last]
                    for i in range(curve.size):
                        into[i] += mass * curve[i]
                    continue
                for harmonic in range(n_harmonics):
                    curve, into = textured[channel - n_plain, harmonic, first:last], out[layer, harmonic, first:last]
                    for i in range(curve.size):
                        into[i] += mass * curve[i]


@njit(void(float32[::1], float64, float32[::1]), cache=True, nogil=True)
def add_scaled(curve: NDArray[np.float32], scale: float, out: NDArray[np.float32]) -> None:
    """Add a curve drawn at ``scale`` times its radius, and with the solid angle that goes with it."""
    inverse = 1.0 / scale
    weight = np.float32(inverse * inverse)
    n_inside = min(out.size, int((curve.size - 1.0) * scale))
    for i in range(n_inside):
        place = np.float32(i * inverse)
        node = np.int32(place)
        low = curve[np.uint32(node)]
        out[i] += weight * (low + (place - np.float32(node)) * (curve[np.uint32(node) + np.uint32(1)] - low))
    for i in range(n_inside, out.size):
        out[i] += weight * curve[curve.size - 1]


@njit(void(float32[:, :, ::1], float64[::1], float32[:, ::1]), cache=True, nogil=True)
def stack_layers(curves: NDArray[np.float32], scales: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """Add the layers, each at its own scale: out[harmonic, node]."""
    out[:] = 0
    for layer in range(curves.shape[0]):
        for harmonic in range(curves.shape[1]):
            add_scaled(curves[layer, harmonic], scales[layer], out[harmonic])


@njit(
    void(float32[:, :, ::1], float64[::1], float64[:, ::1], float64[::1], float64[::1], float64[::1], float32[:, ::1]),
    cache=True,
    nogil=True,
)
def stack_layers_seen(
    curves: NDArray[np.float32],
    scales: NDArray[np.float64],
    ways_out: NDArray[np.float64],
    paths: NDArray[np.float64],
    tangent: NDArray[np.float64],
    cosine: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Add the layers, each at its own scale and seen through its own way out: out[azimuth, node].

    Parameters
    ----------
    ways_out
        Transmission of the way out over that of the straight ray: polynomial in the slope tan(2 theta) cos(eta), (layer, 3).
    paths
        Attenuation along the straight way out, times a length: its growth by 1/cos(2 theta) is taken too; (layer,).
    tangent, cosine
        tan(2 theta) of the nodes, cos(eta) of the azimuths.
    """
    n_layers, n_harmonics, n_nodes = curves.shape
    row = np.empty(n_nodes, dtype=np.float32)
    longer = (1.0 - np.sqrt(1.0 + tangent * tangent)).astype(np.float32)
    slope = np.empty(n_nodes, dtype=np.float32)
    one = np.float32(1)
    out[:] = 0
    for azimuth in range(cosine.size):
        twice = 2 * (2 * cosine[azimuth] * cosine[azimuth] - 1)
        slope[:] = (tangent * cosine[azimuth]).astype(np.float32)
        for layer in range(n_layers):
            row[:] = curves[layer, 0]
            before, now = 1.0, 0.5 * twice
            for harmonic in range(1, n_harmonics):
                factor = np.float32(now)
                for i in range(n_nodes):
                    row[i] += factor * curves[layer, harmonic, i]
                before, now = now, twice * now - before
            c0, c1, c2 = np.float32(ways_out[layer, 0]), np.float32(ways_out[layer, 1]), np.float32(ways_out[layer, 2])
            path = np.float32(paths[layer])
            for i in range(n_nodes):
                row[i] *= (c0 + slope[i] * (c1 + slope[i] * c2)) * (one + longer[i] * path)
            add_scaled(row, scales[layer], out[azimuth])


@njit(void(float32[:, ::1], float64[::1], float32[:, ::1]), cache=True, nogil=True)
def sum_harmonics(harmonics: NDArray[np.float32], cosine: NDArray[np.float64], out: NDArray[np.float32]) -> None:
    """Add up cos(2 k eta) times the harmonics, (k, node), at azimuths of these cosines: out[azimuth, node]."""
    for azimuth in range(out.shape[0]):
        twice = 2 * (2 * cosine[azimuth] * cosine[azimuth] - 1)
        row = out[azimuth]
        row[:] = harmonics[0]
        before, now = 1.0, 0.5 * twice
        for k in range(1, harmonics.shape[0]):
            factor = np.float32(now)
            for i in range(row.size):
                row[i] += factor * harmonics[k, i]
            before, now = now, twice * now - before
