"""The shared words and wires of operando: messages, bus, journal, profile, errors and the command line.

Nothing here knows physics. ``acquisition``, ``streaming`` and ``viewer`` stand on this package and never on each other.
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from operando.profile import Profile

__version__ = "0.1.0"


def startup(profile: "str | Path | Profile", *, out: str | Path = "runs/interactive") -> dict[str, Any]:
    """Open the beamline of a profile for IPython, a script or a queue server: ``globals().update(operando.startup("demo"))``.

    Gives ``RE``, every device by its role, every plan by its name, ``dry_run`` and ``close``. Importing operando touches
    nothing; this call connects.

    Parameters
    ----------
    profile
        A profile's name, folder or file.
    out
        Folder of the beamtime, for the journal.

    Raises
    ------
    OperandoError
        If the profile is wrong, or the beamline does not answer.
    """
    # By name: this package stands below the room that is opened here.
    opened: dict[str, Any] = import_module("acquisition.workplace").open_workplace(profile, out=out)
    return opened
