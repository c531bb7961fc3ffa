"""The resolution of a map: what filtered back projection with the Hann window makes of a voxel, for truths that are compared.

An uncertainty tells how far a number is from what the map can show, not from what a filter has smoothed away.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MARGIN = 8
"""Voxels around, so that nothing wraps."""


def at_resolution(image: Array) -> Array:
    """Give an image as the reconstruction would show it, shape (y, x): steps of a voxel, Hann window, linear interpolation."""
    padded = np.pad(np.nan_to_num(image), _MARGIN)
    frequency = np.hypot(np.fft.fftfreq(padded.shape[0])[:, None], np.fft.fftfreq(padded.shape[1])[None, :])
    passed = np.where(frequency < 0.5, 0.5 + 0.5 * np.cos(2 * np.pi * frequency), 0.0) * np.sinc(frequency) ** 2
    shown: Array = np.fft.ifft2(np.fft.fft2(padded) * passed).real[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return shown
