"""What the kernels' callers ask of a GPU, as a small protocol, and the choice between processor and GPU, made once.

Arrays on the device are opaque here: they are made, filled, read and passed to kernels by the device that they belong to.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Literal, Protocol

import numpy as np
import structlog
from numpy.typing import DTypeLike, NDArray

from operando.errors import ServiceError

logger = structlog.get_logger(__name__)

Wanted = Literal["cpu", "gpu", "auto"]


class DeviceArray(Protocol):
    """An array in the memory of a device."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its axes."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its elements."""
        ...

    def __getitem__(self, which: slice) -> "DeviceArray":
        """Give a stretch of the first axis, without copying it."""
        ...


class Kernel(Protocol):
    """A compiled kernel; made by :meth:`Device.kernel`, started by :meth:`Stream.launch`."""


class Stream(Protocol):
    """Work that a device does in the order of its giving, beside that of other streams; used by one thread at a time."""

    def copy_in(self, target: DeviceArray, source: NDArray[Any]) -> None:
        """Begin to copy a host array of the same size; it must not change before the stream is done."""
        ...

    def copy_out(self, target: NDArray[Any], source: DeviceArray) -> None:
        """Begin to copy to a host array, which holds the values once the stream is done."""
        ...

    def clear(self, target: DeviceArray) -> None:
        """Begin to set all bytes to zero."""
        ...

    def launch(self, kernel: Kernel, grid: tuple[int, int], n_threads: int, arguments: Sequence[Any]) -> None:
        """Start a kernel.

        Parameters
        ----------
        kernel
            What to start.
        grid
            Blocks along x and y.
        n_threads
            Threads of a block, a multiple of 32.
        arguments
            Device arrays, and NumPy scalars of exactly the kernel's types.
        """
        ...

    def wait(self) -> None:
        """Wait until everything is done; other threads run meanwhile."""
        ...


class Device(Protocol):
    """One GPU."""

    @property
    def name(self) -> str:
        """What it calls itself."""
        ...

    @property
    def n_multiprocessors(self) -> int:
        """How many blocks run beside each other, at the least."""
        ...

    def kernel(self, source: str, name: str, defines: dict[str, int]) -> Kernel:
        """Compile a kernel of a source file of this package, once for the same words.

        Parameters
        ----------
        source
            Name of the file without its suffix.
        name
            Of the function.
        defines
            Constants that the source wants.
        """
        ...

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> DeviceArray:
        """Give an array on the device with anything in it."""
        ...

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Give a host array that the device reads and writes by itself, without the processor."""
        ...

    def stream(self) -> Stream:
        """Give another stream."""
        ...


def to_device(device: Device, array: NDArray[Any]) -> DeviceArray:
    """Copy an array to a device, and wait for it: for what is prepared once."""
    there, stream = device.empty(array.shape, array.dtype), device.stream()
    stream.copy_in(there, np.ascontiguousarray(array))
    stream.wait()
    return there


def to_host(device: Device, array: DeviceArray) -> NDArray[Any]:
    """Copy an array from a device, and wait for it."""
    here, stream = device.pinned(array.shape, array.dtype), device.stream()
    stream.copy_out(here, array)
    stream.wait()
    return here


def source_of(name: str) -> str:
    """Give the CUDA C of a kernel's file, and in it what it includes of this package."""
    folder = files("streaming.gpu")
    code = (folder / f"{name}.cu").read_text(encoding="utf-8")
    return re.sub(r'#include "(\w+\.cuh)"', lambda found: (folder / found[1]).read_text(encoding="utf-8"), code)


def choose_device(wanted: Wanted) -> Device | None:
    """Give the GPU to compute on, None for the processor; called once, where a pipeline is built.

    Raises
    ------
    ServiceError
        If a GPU is wanted and there is none that can be used.
    """
    if wanted == "cpu":
        return None
    found = find_gpu()
    if isinstance(found, str):
        if wanted == "gpu":
            raise ServiceError(f"compute.device gpu: {found}; or compute on the processor: compute.device cpu")
        logger.info("computing on the processor", reason=found)
        return None
    logger.info("computing on the GPU", gpu=found.name)
    return found


def find_gpu() -> Device | str:
    """Give the first GPU, or why there is none."""
    try:
        from streaming.gpu.cuda import CudaDevice, why_unusable
    except ImportError as missing:
        return f"CuPy cannot be imported ({missing}): install the extra gpu"
    return why_unusable() or CudaDevice()
