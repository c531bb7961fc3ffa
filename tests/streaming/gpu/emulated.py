"""A device without a GPU: compiles the kernels' own source for the processor and runs it as ``emulate.h`` describes."""

import ctypes
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streaming.gpu.device import source_of

COMPILER = shutil.which(os.environ.get("CXX", "c++"))
HERE = Path(__file__).parent
OPTIONS = "-std=c++17 -O1 -ffp-contract=off -shared -fPIC -fvisibility-inlines-hidden -w -U_FORTIFY_SOURCE".split()
"""No contraction: products are rounded like those of plain NumPy. Some systems check every jump unless told not to, and take
one to another fibre's stack for an error."""
KERNEL = re.compile(r'extern "C" __global__ void (?:__launch_bounds__\(\w+\) )?(\w+)\(')


class EmulatedStream:
    """Does everything at once."""

    def __init__(self, *, is_descending: bool) -> None:
        self._is_descending = is_descending

    def copy_in(self, target: NDArray[Any], source: NDArray[Any]) -> None:
        assert (target.shape, target.dtype) == (source.shape, source.dtype)
        assert source.flags.c_contiguous
        target[...] = source

    def copy_out(self, target: NDArray[Any], source: NDArray[Any]) -> None:
        self.copy_in(target, source)

    def clear(self, target: NDArray[Any]) -> None:
        target[...] = 0

    def launch(self, kernel: Any, grid: tuple[int, int], n_threads: int, arguments: Sequence[Any]) -> None:
        # A pointer is told apart from a number by what it is; the order and the types are the kernel's.
        values = [np.array(value.ctypes.data if isinstance(value, np.ndarray) and value.ndim else value) for value in arguments]
        assert all(isinstance(value, np.ndarray | np.generic) for value in arguments)
        assert [value.nbytes for value in values] == kernel.sizes
        places = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        if not kernel((ctypes.c_uint * 2)(*grid), n_threads, places, self._is_descending):
            raise RuntimeError("threads of a block part at a barrier")

    def wait(self) -> None:
        pass


class EmulatedDevice:
    """Compiles into a folder and keeps what it compiled there."""

    name = "emulated"
    n_multiprocessors = 2

    def __init__(self, folder: Path, *, is_descending: bool = False) -> None:
        self.folder, self._is_descending = folder, is_descending

    def kernel(self, source: str, name: str, defines: dict[str, int]) -> Any:
        words = [f"-D{key}={value}" for key, value in sorted(defines.items())]
        return self.kernel_of(source_of(source), name, f"{source}{''.join(words)}", words)

    def kernel_of(self, code: str, name: str, library_name: str, words: Sequence[str] = ()) -> Any:
        library = self.folder / f"{library_name}.so"
        if not library.exists():
            given = "\n".join(['#include "emulate.h"', code, *(f"EMULATE({name})" for name in KERNEL.findall(code))])
            command = [str(COMPILER), *OPTIONS, f"-I{HERE}", *words, "-x", "c++", "-", "-o", str(library)]
            done = subprocess.run(command, input=given, text=True, capture_output=True, check=False)
            assert done.returncode == 0, done.stderr
        # The GIL is held: threads of one process share the emulator's state.
        function = getattr(ctypes.PyDLL(str(library)), f"emulate_{name}")
        function.restype = ctypes.c_bool
        function.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p, ctypes.c_bool]
        size = getattr(ctypes.PyDLL(str(library)), f"size_{name}")
        size.restype = ctypes.c_size_t
        function.sizes = [size(which) for which in itertools.takewhile(size, itertools.count())]
        return function

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        array = np.empty(shape, dtype)
        array.view(np.uint8)[...] = 0xA5
        return array

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        return self.empty(shape, dtype)

    def stream(self) -> EmulatedStream:
        return EmulatedStream(is_descending=self._is_descending)
