"""From frames to patterns on a GPU: wires buffers and streams round the kernel of ``integrate.cu``.

A lane is a pinned buffer, its like on the device and a stream. While the kernel of one lane works, the next frames are copied
into another and the processor decodes those that follow: two lanes are a double buffer, and as many are made as are in use at
the same time.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from streaming.gpu.device import Device, DeviceArray, Stream, to_device
from streaming.gpu.self_test import check_integrator
from streaming.integrate.bins import RadialBins
from streaming.integrate.integrator import Integrator, Pattern
from streaming.measured import FrameIntegrator

logger = structlog.get_logger(__name__)

_PIXELS_PER_THREAD = 8
"""Held in registers: with 16 fewer threads fit a multiprocessor, with 4 more time goes into telling each other sums."""
_MOST_THREADS = 1024
_LANES = 2


def integrator_on(device: Device | None, host: Integrator) -> FrameIntegrator:
    """Give what integrates single frames as the host does, on the device if there is one and a kernel for it.

    Raises
    ------
    ServiceError
        If the device gives other numbers than the processor.
    """
    if device is None:
        return host
    if host.rejects:
        logger.warning("integrating on the processor", reason="no kernel for the GPU rejects spots and zingers")
        return host
    there = GpuIntegrator(host, device, n_frames=1)
    check_integrator(there, host)
    return there


class GpuIntegrator:
    """Integrates frames as its host does, by the trim or the plain mean; may be called from several threads at once.

    Parameters
    ----------
    host
        The same on the processor, which gives bins, cuts and limits.
    device
        The GPU.
    n_frames
        Frames of one launch of :meth:`integrate_all`.

    Raises
    ------
    ValueError
        If the host rejects spots and zingers, for which there is no kernel.
    """

    def __init__(self, host: Integrator, device: Device, *, n_frames: int = 8) -> None:
        if host.rejects:
            raise ValueError("found an integrator that rejects pixels, wanted one that trims: integrate on the processor")
        self.host, self._device, self._n_frames = host, device, n_frames
        self._layout = _layout_on(device, host.bins)
        self._idle: deque[_Lane] = deque()

    @property
    def q(self) -> NDArray[np.float64]:
        """Centres of the bins, shape (n_radial,), 1/angstrom."""
        return self.host.q

    def integrate(self, frame: NDArray[Any]) -> Pattern:
        """Reduce one frame, as :meth:`streaming.integrate.integrator.Integrator.integrate` describes it."""
        return next(self.integrate_all([frame]))

    def integrate_all(self, frames: Iterable[NDArray[Any]]) -> Iterator[Pattern]:
        """Reduce frames some at a time, copying the next ones while the kernel works; their patterns come in order.

        Parameters
        ----------
        frames
            Counts, shape (n_rows, n_columns) each; neighbours of one dtype share a launch.
        """
        begun = deque[_Lane]()
        try:
            for batch in _batches(frames, self._n_frames):
                begun.append(self._begin(batch))
                if len(begun) == _LANES:
                    yield from self._finish(begun.popleft())
            while begun:
                yield from self._finish(begun.popleft())
        finally:
            for lane in begun:
                lane.stream.wait()
                self._idle.append(lane)

    def _begin(self, frames: list[NDArray[Any]]) -> "_Lane":
        for frame in frames:
            self.host.check(frame)
        dtype, n = frames[0].dtype, len(frames)
        lane = self._borrow()
        here, there = lane.frames_of(self._device, dtype, (self._n_frames, self.host.geometry.mask.size))
        for k, frame in enumerate(frames):
            here[k] = frame.reshape(-1)
        lane.n_frames = n
        lane.stream.copy_in(there[:n], here[:n])
        lane.stream.clear(lane.excluded)
        kernel = self._device.kernel("integrate", "integrate", {**self._layout.defines, "N_BITS": 8 * dtype.itemsize})
        arguments = there, *self._layout.arrays, *self._numbers(dtype), lane.results, lane.excluded
        lane.stream.launch(kernel, (self.host.bins.n_radial, n), self._layout.defines["N_THREADS"], arguments)
        lane.stream.copy_out(lane.host_results[:n], lane.results[:n])
        lane.stream.copy_out(lane.host_excluded[:n], lane.excluded[:n])
        return lane

    def _numbers(self, dtype: np.dtype[Any]) -> tuple[Any, ...]:
        low, high = self.host.trim
        limit = np.uint32(self.host.limit(dtype))
        return np.int64(self.host.geometry.mask.size), limit, np.float64(low), np.float64(high), np.float64(self._layout.scale)

    def _finish(self, lane: "_Lane") -> list[Pattern]:
        lane.stream.wait()
        patterns = [
            self.host.pattern(lane.host_results[k].copy(), [*lane.host_excluded[k], 0, 0]) for k in range(lane.n_frames)
        ]
        self._idle.append(lane)
        return patterns

    def _borrow(self) -> "_Lane":
        try:
            return self._idle.pop()
        except IndexError:
            return _make_lane(self._device, self._n_frames, self.host.bins.n_radial)


def _batches(frames: Iterable[NDArray[Any]], n_frames: int) -> Iterator[list[NDArray[Any]]]:
    for _, alike in groupby(frames, key=lambda frame: frame.dtype):
        while batch := list(islice(alike, n_frames)):
            yield batch


@dataclass(slots=True, kw_only=True, eq=False)
class _Lane:
    """Buffers of one batch at a time; written by whoever borrowed it, until its stream is done."""

    stream: Stream
    results: DeviceArray
    excluded: DeviceArray
    host_results: NDArray[np.float64]
    host_excluded: NDArray[np.uint64]
    frames: dict[np.dtype[Any], tuple[NDArray[Any], DeviceArray]]
    n_frames: int = 0

    def frames_of(self, device: Device, dtype: np.dtype[Any], shape: tuple[int, int]) -> tuple[NDArray[Any], DeviceArray]:
        """Give the buffers for counts of a type."""
        if dtype not in self.frames:
            self.frames[dtype] = device.pinned(shape, dtype), device.empty(shape, dtype)
        return self.frames[dtype]


def _make_lane(device: Device, n_frames: int, n_bins: int) -> _Lane:
    return _Lane(
        stream=device.stream(),
        results=device.empty((n_frames, 3, n_bins), np.float64),
        excluded=device.empty((n_frames, 2), np.uint64),
        host_results=device.pinned((n_frames, 3, n_bins), np.float64),
        host_excluded=device.pinned((n_frames, 2), np.uint64),
        frames={},
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Layout:
    """The bins as the kernel wants them."""

    arrays: tuple[DeviceArray, ...]
    """Pixel and weight of each place, first place and number of pixels of each bin."""
    scale: float
    """A correction is so many times its weight: a power of two, which leaves float32 what it is."""
    defines: dict[str, int]


def _layout_on(device: Device, bins: RadialBins) -> _Layout:
    pixel_of_place = np.zeros(bins.n_places, np.uint32)
    pixel = np.flatnonzero(bins.place < bins.n_places)
    pixel_of_place[bins.place[pixel]] = pixel
    largest = int(bins.n_pixels.max())
    # Number and weight of a bin's pixels share 63 bits. Up to 65,535 pixels a weight has 31, and float32 keeps all of its own
    # down to corrections of 1/128 of the largest.
    n_bits = largest.bit_length()
    weight_bits = min(31, 63 - 2 * n_bits)
    scale = 2.0 ** (np.frexp(bins.correction.max(initial=1e-30))[1] - weight_bits)
    weight = np.rint(bins.correction.astype(np.float64) / scale).astype(np.int32)
    arrays = pixel_of_place, weight, bins.offsets[:-1].astype(np.int32), bins.n_pixels.astype(np.int32)
    n_threads = min(_MOST_THREADS, 32 * max(1, -(-largest // (32 * _PIXELS_PER_THREAD))))
    return _Layout(
        arrays=tuple(to_device(device, array) for array in arrays),
        scale=scale,
        defines={"N_THREADS": n_threads, "N_ITEMS": max(1, -(-largest // n_threads)), "N_SHIFT": weight_bits + n_bits},
    )
