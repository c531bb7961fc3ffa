"""The listening process: journal, the cell's record, and the scan tables of another control system.

It takes the place of the acquisition process where operando does not scan: the same journal on the same address, so that
everything behind it is the same. It moves nothing and knows no device but the cell.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from acquisition.cell.history import CellHistory
from acquisition.cell.recorder import CellRecorder
from acquisition.channel_access import CELL_PORT_OFFSET, use_as_client
from acquisition.listening.follow import Follower
from acquisition.metadata import PACKAGES, cell_metadata, geometry_sha256, package_version
from operando import __version__
from operando.bus.server import FeedServer
from operando.bus.store import Store
from operando.errors import MissingInputError, ProfileError
from operando.journal import Journal
from operando.profile import Profile

LOOK_S = 0.2
"""Pause between two looks at the table."""


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Follow the scan tables of a profile, and serve the journal of the beamtime, until ``stop`` is set.

    Raises
    ------
    OperandoError
        Before ``ready``: if the folder of the tables or the geometry is absent, or the address of the journal is taken.
    """
    if profile.listen is None:
        raise ProfileError('the process listen needs the section listen with its table, and control.mode = "listen"')
    folder = profile.path(Path(profile.listen.table)).parent
    if not folder.is_dir():
        raise MissingInputError(f"no folder {folder}: correct listen.table, or mount the share that it is on")
    metadata = listening_metadata(profile)
    with ExitStack() as stack:
        journal = Journal(out / "journal.jsonl")
        stack.callback(journal.close)
        stack.enter_context(FeedServer(journal, profile.addresses.journal))
        history = CellHistory()
        stack.callback(_record_cell(profile, journal, history))
        follower = Follower(profile, journal, cell_at=history.at, metadata=metadata)
        ready()
        while not stop.is_set():
            follower.look()
            stop.wait(LOOK_S)


def listening_metadata(profile: Profile) -> dict[str, object]:
    """Give what every run says of itself, where operando does not scan."""
    return {
        "plan_name": "listen",
        "profile": profile.name,
        "cell": cell_metadata(profile),
        "geometry_sha256": geometry_sha256(profile),
        "detector": profile.detector.model,
        "versions": {"operando": __version__, **{name: package_version(name) for name in PACKAGES}},
    }


def _record_cell(profile: Profile, journal: Store, history: CellHistory) -> Callable[[], None]:
    """Begin to record what the cell bridge on this computer serves; the function that is given back ends it."""
    use_as_client([profile.control.channel_access_port + CELL_PORT_OFFSET])
    # Importing devices starts Channel Access, which must know its servers before.
    from ophyd import get_cl

    from acquisition.devices.cell import CellMonitor

    recorder = CellRecorder(CellMonitor(profile.control.cell, name="cell"), journal=journal, history=history)
    ended = threading.Event()
    # A thread of the control layer's own kind: only those may use its channels.
    thread = get_cl().thread_class(target=recorder.run, args=(ended,), name="cell", daemon=True)
    thread.start()

    def end() -> None:
        ended.set()
        recorder.hurry()
        thread.join(timeout=5)

    return end
