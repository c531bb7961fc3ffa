"""The cell: where its state is read, and what it must not leave."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, model_validator

from operando.profile.cell_signals import Analog, Marker
from operando.profile.section import Finite, Fraction, Positive, Section

Quantity = Literal["time", "voltage", "current", "charge", "charged", "discharged", "temperature", "cycle", "step"]
"""What a column of a cycler's file may hold; ``charged`` and ``discharged`` are counters that begin anew with every step."""


_SOURCE = r"^((file|tail|model|pybamm):.+|analog|none)$"


class Cell(Section):
    """The cell and where its state comes from."""

    name: str = ""
    chemistry: str = ""
    source: Annotated[str, Field(pattern=_SOURCE)]
    """``file:PATH`` of a finished cycler file that is replayed, ``tail:PATH`` of one that grows now (``*`` and ``?`` follow the
    newest of several), ``analog`` for process variables (``cell.analog``), ``none``, ``model:cccv``, or ``pybamm:NAME`` of a
    simulated cell, whose lithium a simulated sample can then show. ``$OPERANDO_DATA`` is understood."""
    fallback: Annotated[str, Field(pattern=_SOURCE)] | None = None
    """Used, and said so, when the file of ``source`` is absent."""
    speed: Positive = 1.0
    """Recorded seconds per second, of a replay."""
    start_s: Annotated[float, Field(ge=0)] = 0.0
    """Where in a replayed recording to begin."""
    stale_s: Positive = 10.0
    """A reading older than this is shown as stale."""

    timezone: str = ""
    """Time zone of the cycler's computer, for instance ``Europe/Berlin``; empty is that of this computer. Files with local
    times need it."""
    clock_offset_s: Finite = 0.0
    """How far the cycler's clock is ahead of the control system's; subtracted from its times, and recorded."""
    day_first: bool = False
    """Whether dates in its files begin with the day; the vendors begin with the month, whatever the country."""
    marker: Marker | None = None
    """A line that the cycler raises when a step begins; its clock is then compared by it."""
    analog: Analog | None = None
    """Process variables that show voltage and current, for ``source = "analog"``."""
    charging_current: Literal["positive", "negative"] = "positive"
    """Sign of the current while the cell charges, in its files; for a half cell wired the other way round it is negative."""
    columns: dict[Quantity, str] = {}
    """Names of columns, where the file's own names are not known or another one is wanted."""
    units: dict[Quantity, str] = {}
    """Units of columns whose names do not tell, for instance ``mA``; for ``time`` a unit, ``epoch`` or a strptime format."""
    start_time: str = ""
    """When the times of a file count from zero: its zero, as ``2026-03-01 14:00:00`` on the cycler's clock."""

    capacity_ah: Positive | None = None
    """What C-rate and state of charge refer to."""
    mass_g: Positive | None = None
    """Mass of active material; with ``specific_capacity_mah_g`` it gives the capacity where ``capacity_ah`` is not given."""
    specific_capacity_mah_g: Positive | None = None
    start_soc: Fraction | None = None
    """State of charge where the charge counter is zero; without it no state of charge is given."""
    rest_rate: Positive = 0.002
    """Currents below this C-rate are rest."""

    @model_validator(mode="after")
    def _timezone_is_known(self) -> "Cell":
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError) as unknown:
                raise ValueError(f"timezone {self.timezone!r} is not known: write for instance Europe/Berlin") from unknown
        return self

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Cell":
        if self.source == "analog" and self.analog is None:
            raise ValueError('source "analog" needs the section cell.analog with its process variables')
        if self.marker is not None and not self.source.startswith("tail:"):
            raise ValueError(f"a marker tells the clock of a file that grows (tail:PATH), found source {self.source!r}")
        return self

    @property
    def nominal_ah(self) -> float | None:
        """Capacity as given, or by mass; None if neither is."""
        if self.capacity_ah is not None or self.mass_g is None or self.specific_capacity_mah_g is None:
            return self.capacity_ah
        return self.mass_g * self.specific_capacity_mah_g / 1000


class CellLimits(Section):
    """What the cell may do while the beam is on; beyond it the shutter closes and the scan is paused. None is no limit."""

    voltage_low_v: Finite | None = None
    voltage_high_v: Finite | None = None
    temperature_high_c: Finite | None = None
    silent_s: Positive | None = None
    """How long the cycler may be silent."""
