"""A CUDA device by CuPy: the only module that imports it. Kernels are compiled by NVRTC at start and kept by CuPy on disk."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import cupy
import cupyx
import numpy as np
from numpy.typing import DTypeLike, NDArray

from streaming.gpu.device import source_of


def why_unusable() -> str:
    """Tell why no device can be used; empty where one can."""
    try:
        n_devices = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as wrong:
        return f"no CUDA device ({wrong}): check the driver with nvidia-smi"
    return "" if n_devices else "no CUDA device: check the driver with nvidia-smi"


class CudaStream:
    """One CUDA stream; beside those of others, never behind the default one."""

    def __init__(self) -> None:
        self._stream = cupy.cuda.Stream(non_blocking=True)

    def copy_in(self, target: cupy.ndarray, source: NDArray[Any]) -> None:
        """Begin to copy to the device; at full speed and beside other work only from pinned memory."""
        if target.size:
            target.set(source.reshape(target.shape), stream=self._stream)

    def copy_out(self, target: NDArray[Any], source: cupy.ndarray) -> None:
        """Begin to copy from the device."""
        if source.size:
            source.get(stream=self._stream, out=target.reshape(source.shape), blocking=False)

    def clear(self, target: cupy.ndarray) -> None:
        """Begin to set all bytes to zero."""
        if target.size:
            target.data.memset_async(0, target.nbytes, self._stream)

    def launch(self, kernel: Any, grid: tuple[int, int], n_threads: int, arguments: Sequence[Any]) -> None:
        """Start a kernel."""
        with self._stream:
            kernel(grid, (n_threads,), tuple(arguments))

    def wait(self) -> None:
        """Wait until everything is done, without holding the GIL."""
        self._stream.synchronize()


class CudaDevice:
    """The current CUDA device."""

    def __init__(self) -> None:
        properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
        self.name: str = properties["name"].decode()
        self.n_multiprocessors = int(properties["multiProcessorCount"])
        self._module = lru_cache(maxsize=None)(_compile)

    def kernel(self, source: str, name: str, defines: dict[str, int]) -> Any:
        """Compile a kernel, once for the same words."""
        return self._module(source, tuple(sorted(defines.items()))).get_function(name)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> Any:
        """Give an array on the device with anything in it."""
        return cupy.empty(shape, dtype)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Give a host array in page-locked memory."""
        array: NDArray[Any] = cupyx.empty_pinned(shape, np.dtype(dtype)) if np.prod(shape) else np.empty(shape, dtype)
        return array

    def stream(self) -> CudaStream:
        """Give another stream."""
        return CudaStream()


def _compile(source: str, defines: tuple[tuple[str, int], ...]) -> Any:
    options = ("--std=c++17", *(f"-D{name}={value}" for name, value in defines))
    return cupy.RawModule(code=source_of(source), options=options, backend="nvrtc")
