"""Images of HDF5 files as LImA, areaDetector and others write them: many a file, while the file may still grow.

The images are one dataset (image, row, column), chunked by images. Files are opened without locks, as another program writes
them. A compressed chunk is handed on as it lies in the file where workers can decode it (bitshuffle with LZ4), else it is read
here. Without compression nobody can see whether an image is whole: such a file is read when it has not changed for a while.
Negative values and a signed type's markers become masked pixels.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  registers the filters
import numpy as np

from operando.errors import DataError
from streaming.bslz4 import is_whole_bslz4
from streaming.detector_message import Channel
from streaming.sources.frame_file import Facts, FileFrame, FileFrames, UnfinishedFileError

BATCH = 16
"""Images read at a time: more would hold the memory of hundreds while the workers are busy."""
SETTLED_S = 2.0
"""A file of uncompressed images that has not changed for so long is closed."""

_BITSHUFFLE, _LZ4_INSIDE = 32008, 2
_UNSIGNED: dict[int, np.dtype[Any]] = {size: np.dtype(f"u{size}") for size in (1, 2, 4)}


class Hdf5Files:
    """Reads HDF5 files of many images.

    Parameters
    ----------
    shape
        Rows and columns of the detector.
    dataset
        Where the images are; empty finds the one dataset of that shape.
    wall_clock
        Seconds since the Unix epoch, as the file's time of change is told.
    """

    def __init__(self, *, shape: tuple[int, int], dataset: str = "", wall_clock: Callable[[], float] = time.time) -> None:
        self._shape, self._dataset, self._wall_clock = shape, dataset, wall_clock

    def read(self, path: Path, *, skip: int) -> FileFrames:
        """Give a batch of images.

        Raises
        ------
        UnfinishedFileError
            If there is no image yet, or the file cannot be opened now.
        DataError
            If its images have another shape or type.
        """
        try:
            is_settled = self._wall_clock() - path.stat().st_mtime > SETTLED_S
            with _opened(path) as file:
                return FileFrames(frames=self._frames(self._images(file), skip, is_settled=is_settled), is_finished=False)
        except (OSError, RuntimeError, KeyError) as torn:
            # HDF5 says all of this of a file that is open elsewhere, or whose parts are not on disk yet.
            raise UnfinishedFileError(str(torn)) from torn

    def _images(self, file: Any) -> Any:
        if self._dataset:
            images = file[self._dataset]
            if images.ndim != 3 or images.shape[1:] != self._shape:
                raise DataError(
                    f"{self._dataset} has shape {images.shape}, wanted (images, {self._shape[0]}, {self._shape[1]})"
                )
            return images
        found: list[Any] = []
        others: list[str] = []

        def look(name: str, item: Any) -> None:
            if not isinstance(item, h5py.Dataset) or item.ndim != 3 or item.dtype.kind not in "iu":
                return
            if item.shape[1:] != self._shape:
                others.append(f"{name} {item.shape}")
            elif not name.endswith("pixel_mask"):
                found.append(item)

        file.visititems(look)
        if len(found) == 1:
            return found[0]
        if found:
            raise DataError(
                f"several datasets hold images ({', '.join(item.name for item in found)}): set detector.folder.dataset"
            )
        if others:
            raise DataError(
                f"no dataset of {self._shape[0]} x {self._shape[1]} pixels, but {', '.join(others)}: check the profile"
            )
        raise UnfinishedFileError("no images yet")

    def _frames(self, images: Any, skip: int, *, is_settled: bool) -> list[FileFrame]:
        facts = _facts(images, self._shape)
        frames: list[FileFrame] = []
        for index in range(skip, min(images.shape[0], skip + BATCH)):
            try:
                channel = self._channel(images, index, is_settled=is_settled)
            except (OSError, RuntimeError, UnfinishedFileError):
                if not frames:
                    raise
                break
            frames.append(FileFrame(index=index, channel=channel, facts=facts))
        return frames

    def _channel(self, images: Any, index: int, *, is_settled: bool) -> Channel:
        if not _is_written(images, index):
            raise UnfinishedFileError(f"image {index} is not written yet")
        if _is_compressed(images):
            if _is_plain_bslz4(images):
                return self._raw_chunk(images, index)
        elif not is_settled:
            raise UnfinishedFileError("uncompressed, and still changing")
        return _channel_of(np.asarray(images[index]))

    def _raw_chunk(self, images: Any, index: int) -> Channel:
        _, blob = images.id.read_direct_chunk((index, 0, 0))
        dtype = images.dtype
        channel = Channel(shape=self._shape, dtype=dtype, encoding="bslz4", element_size=dtype.itemsize, blob=bytes(blob))
        if not is_whole_bslz4(channel):
            raise UnfinishedFileError(f"image {index} is not whole yet")
        return channel


def _opened(path: Path) -> Any:
    """Open a file that another program may be writing, in either of the two ways that HDF5 has for it."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError:
        return h5py.File(path, "r", locking=False, swmr=True)


def _is_written(images: Any, index: int) -> bool:
    if images.chunks is None:
        return True
    if images.chunks[0] != 1:
        # Several images share a chunk: it is there or not as a whole, and what it lacks is filled with zeros.
        last_of_chunk = (index // images.chunks[0] + 1) * images.chunks[0]
        if last_of_chunk > images.shape[0]:
            return False
    start = (index // images.chunks[0] * images.chunks[0], 0, 0)
    return images.id.get_chunk_info_by_coord(start).byte_offset is not None


def _is_compressed(images: Any) -> bool:
    return images.chunks is not None and images.id.get_create_plist().get_nfilters() > 0


def _is_plain_bslz4(images: Any) -> bool:
    """Tell whether a chunk is one image in the encoding that workers decode."""
    plist = images.id.get_create_plist()
    if plist.get_nfilters() != 1 or images.chunks != (1, *images.shape[1:]) or images.dtype.kind != "u":
        return False
    code, _, options, _ = plist.get_filter(0)
    return code == _BITSHUFFLE and len(options) > 4 and options[4] == _LZ4_INSIDE and images.dtype.byteorder != ">"


def _channel_of(image: Any) -> Channel:
    """Give an image that was read here, unsigned and raw."""
    if image.dtype.itemsize not in _UNSIGNED:
        raise DataError(f"images are of {image.dtype}: wanted whole numbers of 8, 16 or 32 bits")
    unsigned = _UNSIGNED[image.dtype.itemsize]
    content = np.ascontiguousarray(image, dtype=unsigned)
    if image.dtype.kind == "i":
        content[image < 0] = 2 ** (8 * unsigned.itemsize) - 1
    return Channel(shape=content.shape, dtype=unsigned, encoding="raw", element_size=unsigned.itemsize, blob=content.tobytes())


def _facts(images: Any, shape: tuple[int, int]) -> Facts:
    """Give what the group of the images says of the detector, as NeXus names it."""
    group = images.parent
    sizes = [_metres(group, name) for name in ("y_pixel_size", "x_pixel_size")]
    height, width = sizes
    pixel_m = (height, width) if height is not None and width is not None else None
    return Facts(shape=shape, pixel_m=pixel_m)


def _metres(group: Any, name: str) -> float | None:
    """Give a length that says its unit; one that does not is not believed."""
    item = group.get(name)
    if not isinstance(item, h5py.Dataset) or item.size != 1:
        return None
    unit = item.attrs.get("units", "")
    scale = {"m": 1.0, "mm": 1e-3, "um": 1e-6, "micron": 1e-6}.get(unit.decode() if isinstance(unit, bytes) else str(unit))
    return None if scale is None else float(np.ravel(item[()])[0]) * scale
