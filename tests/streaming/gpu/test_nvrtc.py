"""NVIDIA's own compiler takes every kernel; it needs no GPU. Skipped where it is not installed (make nvrtc)."""

import ctypes
from ctypes.util import find_library
from importlib.resources import files
from pathlib import Path

import pytest

from streaming.gpu.device import source_of

SOURCES = sorted(path.name.removesuffix(".cu") for path in files("streaming.gpu").iterdir() if path.name.endswith(".cu"))
DEFINES = {
    "integrate": [["-DN_BITS=8"], ["-DN_BITS=32", "-DN_THREADS=1024", "-DN_ITEMS=3"]],
    "refine": [["-DN_STATIC=5", "-DN_FIXED=2", "-DN_MOVING=3", "-DN_THREADS=64"], ["-DN_MOVING=0"]],
}


@pytest.fixture(scope="module")
def nvrtc() -> ctypes.CDLL:
    installed = sorted(Path(__file__).parents[3].glob(".nvrtc/nvidia/cuda_nvrtc/lib/libnvrtc.so.*"))
    found = installed[0] if installed else find_library("nvrtc")
    return ctypes.CDLL(str(found)) if found else pytest.skip("no NVRTC: install it by make nvrtc")


def compile_log(nvrtc: ctypes.CDLL, code: str, options: list[str]) -> str:
    """What the compiler has to say; empty where it is content."""
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernel.cu", 0, None, None) == 0
    words = [option.encode() for option in options]
    result = nvrtc.nvrtcCompileProgram(program, len(words), (ctypes.c_char_p * len(words))(*words))
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return log.value.decode() or ("" if result == 0 else f"error {result}")


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
@pytest.mark.parametrize("source", SOURCES)
def test_every_kernel_compiles_without_a_warning(nvrtc: ctypes.CDLL, source: str, architecture: str) -> None:
    for defines in DEFINES.get(source, [[]]):
        assert compile_log(nvrtc, source_of(source), ["--std=c++17", f"--gpu-architecture={architecture}", *defines]) == ""


def test_a_kernel_that_is_wrong_is_refused(nvrtc: ctypes.CDLL) -> None:
    assert "undefined" in compile_log(nvrtc, source_of("integrate") + "int f() { return absent; }", ["--std=c++17"])
