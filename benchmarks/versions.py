"""What figures were measured with."""

import platform
from importlib.metadata import version

from operando import __version__

PACKAGES = ("numpy", "numba", "llvmlite", "scipy", "pyFAI", "imagecodecs", "pyzmq", "scikit-image", "napari")


def versions() -> dict[str, str]:
    """Give the versions of operando, Python and the packages that kernels and peers stand on."""
    return {"operando": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
