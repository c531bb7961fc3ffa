"""The queue process, in place of acquire: plans are submitted and fly one after another, each in the queue server's worker.

It serves the queue's control socket, for the queue server's own command line, and the command socket, for the viewer.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from acquisition.plans.catalogue import programme_of
from acquisition.plans.dry_run import check_programme
from acquisition.queue.desk import QueueDesk
from acquisition.queue.forbidden import Forbidden
from acquisition.queue.manager import Queue
from operando.bus.asking import AnswerServer
from operando.errors import ServiceError
from operando.profile import Profile, write_profile

LOOK_S = 0.5


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Serve a queue of plans until ``stop`` is set; then what flies is aborted.

    Raises
    ------
    OperandoError
        Before ``ready``: if the packages of the queue are missing, the beamline does not answer, or an address is taken. After
        it: if the queue server dies.
    """
    check_programme(programme_of(profile))
    profile_file = out / "queue-profile.toml"
    write_profile(profile, profile_file)
    with Queue(profile, profile_file=profile_file, out=out) as queue:
        forbidden = Forbidden(profile.addresses.journal)
        desk = QueueDesk(queue.address, profile, forbids=forbidden)
        with AnswerServer(profile.addresses.commands, desk):
            for name, work in (("queue wishes", desk.watch), ("cell", forbidden.run)):
                threading.Thread(target=work, args=(stop,), name=name, daemon=True).start()
            ready()
            while not stop.wait(LOOK_S):
                if not queue.is_running:
                    raise ServiceError(f"the queue server died: {queue.last_words}")
