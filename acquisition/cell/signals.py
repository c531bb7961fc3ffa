"""Process variables of the beamline as the cell bridge reads them, beside those that it serves itself."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import structlog

from acquisition.cell.analog import Sample
from acquisition.channel_access import use_beamline
from operando.profile import Profile
from operando.profile.cell_signals import Marker

logger = structlog.get_logger(__name__)

ANSWER_S = 1.0


class ChannelAccessSignals:
    """Asks over Channel Access: each value comes with the time at which its record was last processed.

    Make it before a server of this process is made: both read the same environment, each when it begins.
    """

    def __init__(self, profile: Profile, pvs: Iterable[str]) -> None:
        use_beamline(profile)
        from epics import PV

        self._pvs = {name: PV(name, form="time", auto_monitor=False) for name in pvs}

    def read(self, pv: str) -> Sample | None:
        """Give the value now; None if it is not to be had in a second."""
        from epics import ca

        # The thread that looks is not the one that opened the channels.
        ca.use_initial_context()
        channel = self._pvs[pv]
        if not channel.connected:
            return None
        found: dict[str, Any] | None = channel.get_with_metadata(use_monitor=False, timeout=ANSWER_S)
        value = None if found is None else found.get("value")
        if found is None or not isinstance(value, int | float) or not math.isfinite(value):
            return None
        return Sample(value=float(value), time_s=float(found["timestamp"]))


def watch_edges(profile: Profile, marker: Marker, *, edge: Callable[[float], None]) -> object:
    """Call ``edge`` with the time of each edge of a marker from now on; keep what is given back for as long."""
    use_beamline(profile)
    from epics import PV

    return PV(marker.pv, form="time", auto_monitor=True, callback=EdgeFinder(marker, edge))


class EdgeFinder:
    """Finds edges among the values of a line; the first value only says where it stands."""

    def __init__(self, marker: Marker, edge: Callable[[float], None]) -> None:
        self._wanted = marker.edge
        self._edge = edge
        self._was_high: bool | None = None

    def __call__(self, *, value: float, timestamp: float, **_: object) -> None:
        """Take a value, as a monitor gives it."""
        is_high = value > 0.5
        was_high, self._was_high = self._was_high, is_high
        if was_high is None or was_high == is_high:
            return
        if self._wanted == "both" or (self._wanted == "rising") == is_high:
            logger.info("marker seen", time_s=timestamp)
            self._edge(timestamp)
