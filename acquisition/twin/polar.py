"""From masses in channels and layers to the mean of every place on the detector, on a polar grid.

Receives what :mod:`acquisition.twin.deep` adds up; gives a grid of azimuths and radial nodes. The azimuth eta counts from the
direction of the fast axis (columns); up and down are alike, since the sample does not change along the rotation axis.

A layer at depth z scatters from nearer to the detector: its rings have (L - z) / L of the radius, tan(2 theta) (1 - z/L), and a
pixel sees it under a solid angle larger by (L / (L - z))^2.
"""

import numpy as np
from numba import float32, float64, int64, njit, void
from numpy.typing import NDArray

from acquisition.twin.texture import N_HARMONICS

BLOCK = 256
"""Nodes at a time: their sums over all layers stay in the second cache."""


@njit(void(float32[:, ::1], int64, float32[:, :, ::1], int64, int64, int64, float32[:, :, ::1]), cache=True, nogil=True)
def _add_moments(
    mass: NDArray[np.float32],
    column: int,
    textured: NDArray[np.float32],
    state: int,
    first: int,
    last: int,
    out: NDArray[np.float32],
) -> None:
    """Add all eight moments of one textured state at a time, so that a sum is stored once for eight of them.

    Parameters
    ----------
    column
        Of the state's first moment in ``mass``, shape (layer, channel).
    state
        First of its eight rows in ``textured``, shape (channel, harmonic, node).
    first, last
        Nodes to add, the last exclusive.
    """
    for harmonic in range(textured.shape[1]):
        c0, c1 = textured[state, harmonic, first:last], textured[state + 1, harmonic, first:last]
        c2, c3 = textured[state + 2, harmonic, first:last], textured[state + 3, harmonic, first:last]
        c4, c5 = textured[state + 4, harmonic, first:last], textured[state + 5, harmonic, first:last]
        c6, c7 = textured[state + 6, harmonic, first:last], textured[state + 7, harmonic, first:last]
        for layer in range(mass.shape[0]):
            m = mass[layer, column : column + N_HARMONICS]
            if m[0] == 0:
                continue
            m0, m1, m2, m3, m4, m5, m6, m7 = m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7]
            into = out[layer, harmonic, first:last]
            for i in range(into.size):
                low = (m0 * c0[i] + m1 * c1[i]) + (m2 * c2[i] + m3 * c3[i])
                into[i] += low + ((m4 * c4[i] + m5 * c5[i]) + (m6 * c6[i] + m7 * c7[i]))


@njit(void(float64[:, ::1], float32[:, ::1], float32[:, :, ::1], float32[:, :, ::1]), cache=True, nogil=True)
def sum_curves(
    masses: NDArray[np.float64], plain: NDArray[np.float32], textured: NDArray[np.float32], out: NDArray[np.float32]
) -> None:
    """Add up the curves of all channels, out[layer, harmonic, node]; plain channels have the harmonic 0 alone."""
    n_layers, _, n_nodes = out.shape
    n_plain = plain.shape[0]
    mass = masses.astype(np.float32)
    out[:] = 0
    for first in range(0, n_nodes, BLOCK):
        last = min(first + BLOCK, n_nodes)
        for channel in range(n_plain):
            curve = plain[channel, first:last]
            for layer in range(n_layers):
                part = mass[layer, channel]
                if part == 0:
                    continue
                into = out[layer, 0, first:last]
                for i in range(into.size):
                    into[i] += part * curve[i]
        for state in range(0, textured.shape[0], N_HARMONICS):
            _add_moments(mass, n_plain + state, textured, state, first, last, out)


@njit(void(float32[::1], float64, float32[::1]), cache=True, nogil=True)
def add_scaled(curve: NDArray[np.float32], scale: float, out: NDArray[np.float32]) -> None:
    """Add a curve drawn at ``scale`` times its radius, and with the solid angle that goes with it."""
    inverse = 1.0 / scale
    weight = np.float32(inverse * inverse)
    n_inside = min(out.size, int((curve.size - 1.0) * scale))
    # Node i is drawn from i + i stretch. Over a run of nodes that has the same whole part: plain loops, no look-ups.
    stretch = inverse - 1.0
    start = 0
    while start < n_inside:
        whole = int(np.floor(start * stretch))
        stop = n_inside
        if stretch > 0:
            stop = min(stop, int(np.ceil((whole + 1) / stretch)))
        elif stretch < 0:
            stop = min(stop, int(whole / stretch) + 1)
        stop = max(stop, start + 1)
        low, high, into = curve[start + whole :], curve[start + whole + 1 :], out[start:stop]
        first = start * stretch - whole
        for i in range(into.size):
            part = np.float32(first + i * stretch)
            into[i] += weight * (low[i] + part * (high[i] - low[i]))
        start = stop
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
