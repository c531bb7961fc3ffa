"""One clock for all who replay the same cell: where a replay stands is a small file in the run's folder.

The bridge shows the cell's voltage, the simulated sample its lithium; they are two processes, and each may start first or come
back. Whoever finds no living replay of the same recording begins one; the others go on with it.
"""

import fcntl
import json
from pathlib import Path
from typing import Any

import structlog

from operando.profile import Cell

logger = structlog.get_logger(__name__)

RESUME_WITHIN_S = 60.0
"""A replay that nobody has kept alive for longer is another beamtime's: a new one starts at its beginning."""
FILE = "cell.json"


def claim_origin(out: Path, cell: Cell, name: str, *, now_s: float) -> float:
    """Give the time, Unix epoch, at which the replay of a recording began in a run folder; begin it if there is none."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "cell.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        origin_s = _living_origin(out / FILE, cell, name, now_s=now_s)
        if origin_s is None:
            origin_s = now_s
            write_state(out, cell, name, origin_s=origin_s, now_s=now_s)
        return origin_s


def write_state(out: Path, cell: Cell, name: str, *, origin_s: float, now_s: float) -> None:
    """Note that a replay is alive, and when it began."""
    path = out / FILE
    out.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({**_identity(cell, name), "origin_s": origin_s, "alive_s": now_s}), encoding="utf-8")
    temporary.replace(path)


class FollowedClock:
    """The recorded time of a replay as its run folder says, for processes beside the bridge; not safe to share by threads."""

    def __init__(self, out: Path, cell: Cell, name: str, *, now_s: float) -> None:
        self._path, self._cell, self._name = out / FILE, cell, name
        self._origin_s = claim_origin(out, cell, name, now_s=now_s)
        self._seen = self._stamp()

    def recorded_s(self, time_s: float) -> float:
        """Give seconds since the first row of the recording at a control system time (Unix epoch)."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            state = _read(self._path, self._cell, self._name)
            self._origin_s = self._origin_s if state is None else float(state["origin_s"])
        return self._cell.start_s + (time_s - self._origin_s) * self._cell.speed

    def _stamp(self) -> tuple[int, int]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return (0, 0)
        return (found.st_mtime_ns, found.st_ino)


def _living_origin(path: Path, cell: Cell, name: str, *, now_s: float) -> float | None:
    state = _read(path, cell, name)
    if state is None or not 0 <= now_s - state["alive_s"] < RESUME_WITHIN_S:
        return None
    return float(state["origin_s"])


def _read(path: Path, cell: Cell, name: str) -> dict[str, Any] | None:
    """Give the state of this recording's replay; None if there is none, or another's."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        is_same = all(state[key] == value for key, value in _identity(cell, name).items())
        return {"origin_s": float(state["origin_s"]), "alive_s": float(state["alive_s"])} if is_same else None
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as wrong:
        logger.warning("replay place unreadable", path=str(path), reason=str(wrong))
        return None


def _identity(cell: Cell, name: str) -> dict[str, str | float]:
    return {"recording": name, "speed": cell.speed, "start_s": cell.start_s}
