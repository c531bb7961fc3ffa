"""The storage ring: current, and seconds to the next top-up."""

from typing import Any

from ophyd import Device, EpicsSignalRO, FormattedComponent


class Ring(Device):
    """What a scan must know of the ring."""

    current = FormattedComponent(EpicsSignalRO, "{current_pv}", kind="hinted", auto_monitor=True)
    """mA."""
    countdown = FormattedComponent(EpicsSignalRO, "{countdown_pv}", kind="normal", auto_monitor=True)
    """Seconds to the next top-up; 0 while it lasts."""

    def __init__(self, prefix: str = "", *, current_pv: str, countdown_pv: str, **kwargs: Any) -> None:
        self.current_pv = current_pv
        self.countdown_pv = countdown_pv
        super().__init__(prefix, **kwargs)
