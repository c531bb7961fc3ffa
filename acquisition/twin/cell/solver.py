"""The one place that imports PyBaMM, with its telemetry off: nothing about a simulation may leave the machine."""

import os
from types import ModuleType

from operando.errors import ServiceError

OFF = "PYBAMM_DISABLE_TELEMETRY"


def load_pybamm() -> ModuleType:
    """Import PyBaMM without telemetry, also where someone else has imported it before.

    Raises
    ------
    ServiceError
        If it is not installed.
    """
    # Read when PyBaMM is imported: no client of the collecting service is then even made, and nobody is asked on the terminal.
    os.environ[OFF] = "true"
    try:
        import pybamm
    except ImportError as absent:
        raise ServiceError("simulating a cell needs PyBaMM: install operando-xrdct[battery]") from absent
    pybamm.telemetry.disable()
    return pybamm
