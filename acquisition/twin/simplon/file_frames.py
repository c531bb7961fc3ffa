"""Frames from files: CBF, EDF, TIFF and whatever else fabio reads, and stacks in HDF5; served in order, again and again."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import fabio
import h5py
import hdf5plugin  # noqa: F401  (registers the compression filters that detectors' HDF5 files use)
import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cable import Pulse
from acquisition.twin.simplon.frames import counts_from_image
from operando.errors import DataError, MissingInputError

HDF5_SUFFIXES = {".h5", ".hdf5", ".nxs", ".hdf"}
N_KEPT = 32
"""Frames kept in memory, 10 MB each; a longer sequence is read from disk again every time round."""


class FileFrames:
    """The frames of some files, one after the other, from the beginning again after the last.

    Parameters
    ----------
    paths
        Image files, or HDF5 files with one stack of images (frame, row, column).

    Raises
    ------
    MissingInputError
        If a file does not exist or none is named.
    DataError
        If a file holds no frames, or frames of different shapes.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise MissingInputError("no files of frames are named: name at least one")
        self._frames = [(path, name, index) for path in paths for name, index in _frames_in(path)]
        self._read = lru_cache(maxsize=N_KEPT)(self._read_frame)
        self.shape: tuple[int, int] = _shape(_read(*self._frames[0]))

    def __len__(self) -> int:
        return len(self._frames)

    def frame(self, pulse: Pulse | None, image_id: int) -> NDArray[np.uint32]:
        """Give the frame whose turn it is by its image id, read-only."""
        return self._read(image_id % len(self._frames))

    def _read_frame(self, number: int) -> NDArray[np.uint32]:
        path, name, index = self._frames[number]
        frame = _read(path, name, index)
        if frame.shape != self.shape:
            raise DataError(f"{path} has frames of shape {frame.shape}, the first file {self.shape}: serve them apart")
        return frame


def _shape(frame: NDArray[np.uint32]) -> tuple[int, int]:
    rows, columns = frame.shape
    return rows, columns


def _frames_in(path: Path) -> list[tuple[str, int]]:
    """Give (data set, index) of every frame in a file; the name is empty where the file is a plain image."""
    if not path.is_file():
        raise MissingInputError(f"no file {path}: name an existing file of frames")
    try:
        stacks = _stacks(path) if path.suffix in HDF5_SUFFIXES else {"": _n_images(path)}
    except Exception as unreadable:  # fabio's readers fail in whatever way the bytes of a foreign file lead them to.
        raise DataError(f"{path} cannot be read as detector frames: {unreadable}") from unreadable
    if len(stacks) > 1:  # A mask or flat field of one frame often lies beside the frames.
        stacks = {name: n_frames for name, n_frames in stacks.items() if n_frames > 1}
    if len(stacks) != 1:
        raise DataError(f"{path} holds {len(stacks)} stacks of images ({', '.join(stacks)[:200] or 'none'}): one is wanted")
    return [(name, index) for name, n_frames in stacks.items() for index in range(n_frames)]


def _n_images(path: Path) -> int:
    with fabio.open(str(path)) as image:
        return int(image.nframes)


def _stacks(path: Path) -> dict[str, int]:
    """Give the data sets (frame, row, column) of an HDF5 file and how many frames each has."""
    found: dict[str, int] = {}

    def look(name: str, item: h5py.Dataset | h5py.Group) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 3 and min(item.shape) > 0:
            found[name] = len(item)

    with h5py.File(path) as file:
        file.visititems(look)
    return found


def _read(path: Path, name: str, index: int) -> NDArray[np.uint32]:
    origin = f"{path} frame {index}"
    if name:
        with h5py.File(path) as file:
            return counts_from_image(file[name][index], origin=origin)
    with fabio.open(str(path)) as image:
        return counts_from_image(image.get_frame(index).data, origin=origin)
