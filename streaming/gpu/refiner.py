"""The refinement of patterns on a GPU: wires buffers and streams round the kernel of ``refine.cu``.

Patterns go there a few thousand at a time, by two lanes in turn: while the kernel works on one, the next are copied. What is
the same for all of them, tables and static columns, is copied once for each call.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.gpu.device import Device, DeviceArray, Stream, to_device
from streaming.gpu.self_test import TriedKernel
from streaming.refine.fit import SIGNIFICANCE, Kernel, Refined, Room, Task, prepare, refine
from streaming.refine.model import ProfileModel
from streaming.refine.tables import N_PARAMETERS

Array = NDArray[np.float64]

_N_THREADS = 64
_BLOCKS_EACH = 5
"""Blocks of a multiprocessor: while one waits for its small algebra, others work. Their rooms, some 75 kB each, should all stay
in the second-level cache."""
_PATTERNS = 8192
"""Of a lane: 50 MB of 1,500 bins, some milliseconds of work."""


def kernel_on(device: Device | None) -> Kernel:
    """Give what refines patterns on the device, as long as it gives the processor's numbers, or on the processor."""
    return refine if device is None else TriedKernel(GpuRefiner(device))


class GpuRefiner:
    """Refines patterns as :func:`streaming.refine.fit.refine` does; called from one thread at a time.

    Parameters
    ----------
    device
        The GPU.
    n_patterns
        Patterns of one launch.
    """

    def __init__(self, device: Device, *, n_patterns: int = _PATTERNS) -> None:
        self._device, self._n_patterns = device, n_patterns

    def __call__(
        self,
        model: ProfileModel,
        patterns: NDArray[np.float32],
        noise: Array,
        weights: Array,
        start: Array | None = None,
        *,
        differences: NDArray[np.float32] | None = None,
        significance: float = SIGNIFICANCE,
        is_bounded: bool = True,
    ) -> Refined:
        """Refine every pattern."""
        task = prepare(
            model, patterns, noise, weights, start, differences=differences, significance=significance, is_bounded=is_bounded
        )
        size = max(1, min(self._n_patterns, len(task.patterns)))
        fixed = _Fixed(self._device, task)
        lanes = [_Lane(self._device, task, size, fixed) for _ in range(2)]
        parts = [slice(begin, begin + size) for begin in range(0, len(task.patterns), size)]
        for number, part in enumerate(parts):
            lane = lanes[number % 2]
            lane.finish()
            lane.begin(part)
        for lane in lanes:
            lane.finish()
        return task.refined()


class _Fixed:
    """What all patterns of a task share, on the device."""

    def __init__(self, device: Device, task: Task) -> None:
        model, tables = task.model, task.model.tables
        n_moving = len(model.moving)
        gram = (model.static * task.weights) @ model.static.T
        arrays = (
            task.weights, model.static, gram, task.kind.astype(np.int32), tables.first.astype(np.int32), tables.metric,
            tables.amplitude, tables.table, tables.widths, tables.powers, tables.volumes, model.is_free().astype(np.uint8),
            task.low, task.high, task.largest,
        )  # fmt: skip
        self.arrays = tuple(to_device(device, array if array.size else np.zeros(1, array.dtype)) for array in arrays)
        grid, shape = model.grid, tables.table.shape
        self.sizes = np.int32(shape[1]), np.int32(shape[3])
        numbers = grid.q_first_edge, grid.q_step, grid.wavelength_angstrom, task.significance
        self.numbers = tuple(np.float64(number) for number in numbers)
        self.n_blocks = _BLOCKS_EACH * device.n_multiprocessors
        defines = {"N_THREADS": _N_THREADS, "N_STATIC": model.n_static, "N_FIXED": model.n_fixed, "N_MOVING": n_moving}
        self.kernel = device.kernel("refine", "refine_patterns", defines)
        n = model.n_static + n_moving * (1 + N_PARAMETERS)
        self.n_room = n_moving * (1 + N_PARAMETERS) * grid.n_radial + 3 * n * n


def _written(room: Room) -> list[NDArray[Any]]:
    """List what the kernel writes, in the order of its arguments."""
    is_moved: NDArray[Any] = room.is_moved.view(np.uint8)
    return [room.parameters, room.linear, room.covariance, room.residuals, room.status, is_moved, room.changes]


@dataclass(slots=True, eq=False)
class _Pair:
    """A buffer and its like on the device."""

    here: NDArray[Any]
    there: DeviceArray


class _Lane:
    """Buffers of some patterns at a time, and the stream that fills and empties them."""

    def __init__(self, device: Device, task: Task, size: int, fixed: _Fixed) -> None:
        self._task, self._fixed, self._size = task, fixed, size
        self._stream: Stream = device.stream()
        self._begun: slice | None = None
        self._given = [self._pair(device, array) for array in (task.patterns, task.noise, task.differences)]
        self._parameters, *self._found = [self._pair(device, array) for array in _written(task.room)]
        self._room = device.empty((fixed.n_blocks * fixed.n_room,), np.float64)

    def begin(self, part: slice) -> None:
        """Begin to refine a part of the patterns."""
        task, fixed, stream = self._task, self._fixed, self._stream
        self._begun, n = part, len(task.patterns[part])
        given: list[NDArray[Any]] = [task.patterns, task.noise, task.differences, task.room.parameters]
        for pair, values in zip([*self._given, self._parameters], given, strict=True):
            if len(values):
                pair.here[:n] = values[part]
                stream.copy_in(pair.there[:n], pair.here[:n])
        for pair in self._found:
            stream.clear(pair.there)
        patterns, noise, differences = (pair.there for pair in self._given)
        found = [pair.there for pair in (self._parameters, *self._found)]
        sizes = np.int32(n), np.int32(task.patterns.shape[1]), *fixed.sizes, np.int32(len(task.differences) > 0)
        arguments = patterns, noise, *fixed.arrays, differences, self._room, *found, *sizes, *fixed.numbers
        stream.launch(fixed.kernel, (min(n, fixed.n_blocks), 1), _N_THREADS, arguments)
        for pair in (self._parameters, *self._found):
            stream.copy_out(pair.here[:n], pair.there[:n])

    def finish(self) -> None:
        """Wait for what was begun, and put it where the task wants it."""
        if self._begun is None:
            return
        self._stream.wait()
        for pair, target in zip([self._parameters, *self._found], _written(self._task.room), strict=True):
            target[self._begun] = pair.here[: len(target[self._begun])]
        self._begun = None

    def _pair(self, device: Device, like: NDArray[Any]) -> _Pair:
        shape = (self._size, *like.shape[1:])
        return _Pair(device.pinned(shape, like.dtype), device.empty(shape, like.dtype))
