"""Loaded by the queue server's worker: the beamline of a profile, as ``operando.startup`` gives it, and a leash."""

# Names of the worker's namespace are what the queue offers: all but the plans, RE and devices begin with an underscore.
import os as _os

from acquisition.queue.leash import hold_leash as _hold_leash
from acquisition.workplace import open_workplace as _open_workplace

_opened = _open_workplace(_os.environ["OPERANDO_QUEUE_PROFILE"], out=_os.environ["OPERANDO_QUEUE_OUT"], takes_commands=True)
globals().update({_name: _value for _name, _value in _opened.items() if _name not in ("close", "dry_run", "profile")})
_hold_leash(int(_os.environ["OPERANDO_QUEUE_PARENT"]), engine=_opened["RE"])
