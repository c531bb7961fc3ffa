"""The cell bridge: serves the state of the cell as process variables over Channel Access, read-only.

The contract between a cycler and everyone else is these few PVs; what stands behind them is a :class:`CellSource`. All PVs of
one reading carry the same time stamp, the time of the reading. A value that the source does not give is NaN (CYCLE: -1).
HEARTBEAT counts while the bridge lives, AGE grows while its source is silent.
"""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog
from caproto import ChannelType
from caproto.server import PVGroup, pvproperty

from acquisition.cell.derive import Deriver
from acquisition.cell.source import CellSource, mark_alive, open_source, running
from acquisition.channel_access import CELL_PORT_OFFSET
from acquisition.channel_access_server import serve_pvs
from operando.messages import CellReading
from operando.profile import Profile

logger = structlog.get_logger(__name__)

REFRESH_S = 0.2
"""Rhythm of the PVs: slower shows a fast replay in jumps, faster says nothing new of a cycler that writes once a second."""

_ALIVE_EVERY = 25
"""Refreshes between two notes on disk that the bridge lives; 5 s, well within RESUME_WITHIN_S."""

NAN = float("nan")
_TROUBLE_BYTES = 256


class CellPVs(PVGroup):
    """The process variables of one cell, under one prefix."""

    voltage = pvproperty(name="VOLTAGE", value=NAN, units="V", precision=4, read_only=True)
    current = pvproperty(name="CURRENT", value=NAN, units="A", precision=4, read_only=True, doc="positive on charge")
    charge = pvproperty(name="CHARGE", value=NAN, units="Ah", precision=4, read_only=True)
    temperature = pvproperty(name="TEMPERATURE", value=NAN, units="degC", precision=2, read_only=True)
    step = pvproperty(name="STEP", value="", dtype=ChannelType.STRING, read_only=True)
    cycle = pvproperty(name="CYCLE", value=-1, read_only=True)
    time = pvproperty(name="TIME", value=NAN, units="s", precision=3, read_only=True, doc="Unix epoch")
    age = pvproperty(name="AGE", value=NAN, units="s", precision=1, read_only=True)
    heartbeat = pvproperty(name="HEARTBEAT", value=0, read_only=True)
    source = pvproperty(name="SOURCE", value="", dtype=ChannelType.STRING, read_only=True)
    regime = pvproperty(name="REGIME", value="", dtype=ChannelType.STRING, read_only=True)
    c_rate = pvproperty(name="C_RATE", value=NAN, units="1/h", precision=4, read_only=True, doc="positive on charge")
    soc = pvproperty(name="SOC", value=NAN, precision=4, read_only=True, doc="0 empty, 1 full")
    step_charge = pvproperty(name="STEP_CHARGE", value=NAN, units="Ah", precision=4, read_only=True)
    specific_charge = pvproperty(name="SPECIFIC_CHARGE", value=NAN, units="mAh/g", precision=3, read_only=True)
    charge_source = pvproperty(name="CHARGE_SOURCE", value="", dtype=ChannelType.STRING, read_only=True)
    clock_offset = pvproperty(name="CLOCK_OFFSET", value=0.0, units="s", precision=3, read_only=True)
    trouble = pvproperty(
        name="TROUBLE", value="", dtype=ChannelType.CHAR, max_length=_TROUBLE_BYTES, string_encoding="utf-8", read_only=True
    )

    async def show(self, reading: CellReading) -> None:
        """Put a reading on the PVs; TIME last, so that whoever waits for it finds the others new."""
        stamp = reading.time_s
        values: dict[Any, object] = {
            self.voltage: _number(reading.voltage_v),
            self.current: _number(reading.current_a),
            self.charge: _number(reading.charge_ah),
            self.temperature: _number(reading.temperature_c),
            self.cycle: -1 if reading.cycle is None else reading.cycle,
            self.step: _short(reading.step),
            self.source: _short(reading.source),
            self.regime: reading.regime,
            self.c_rate: _number(reading.c_rate),
            self.soc: _number(reading.soc),
            self.step_charge: _number(reading.step_charge_ah),
            self.specific_charge: _number(reading.specific_charge_mah_g),
            self.charge_source: reading.charge_source,
            self.clock_offset: reading.clock_offset_s,
            self.time: reading.time_s,
        }
        for channel, value in values.items():
            await channel.write(value, timestamp=stamp, verify_value=False)
        await self.age.write(reading.age_s, verify_value=False)
        if reading.trouble != self.trouble.value:
            await self.trouble.write(reading.trouble, verify_value=False)

    async def beat(self) -> None:
        """Show that the bridge lives."""
        await self.heartbeat.write(self.heartbeat.value + 1, verify_value=False)


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Serve the cell PVs of the profile's source on the port after the beamline's, until ``stop`` is set.

    Raises
    ------
    OperandoError
        If the source cannot be opened or the port is in use; then ``ready`` was not called.
    """
    source, notice = open_source(profile, out=out, now_s=time.time())
    if notice:
        logger.warning("cell source replaced", reason=notice)

    def note(now_s: float) -> None:
        mark_alive(source, profile.cell, out=out, now_s=now_s)

    port = profile.control.channel_access_port + CELL_PORT_OFFSET
    deriver = Deriver(profile.cell)
    work = serve_source(
        source, prefix=profile.control.cell, port=port, complete=deriver.complete, note=note, ready=ready, stop=stop
    )
    with running(source):
        asyncio.run(work)


async def serve_source(
    source: CellSource,
    *,
    prefix: str,
    port: int,
    ready: Callable[[], None],
    stop: threading.Event,
    complete: Callable[[CellReading], CellReading] = lambda reading: reading,
    note: Callable[[float], None] = lambda now_s: None,
    clock: Callable[[], float] = time.time,
) -> None:
    """Serve the PVs of any source on a loopback port until ``stop`` is set.

    Parameters
    ----------
    complete
        Gives each reading with what follows from it.
    note
        Called now and then with the time.

    Raises
    ------
    ServiceError
        If the port is in use.
    """
    group = CellPVs(prefix=f"{prefix}:")

    async def show(now_s: float) -> None:
        reading = source.reading_at(now_s)
        if reading is not None:
            await group.show(complete(reading))

    # Who connects first must find a reading, not the values of before.
    await show(clock())

    async def follow() -> None:
        for n_shown in itertools.count():
            now_s = clock()
            await show(now_s)
            await group.beat()
            if n_shown % _ALIVE_EVERY == 0:
                note(now_s)
            await asyncio.sleep(REFRESH_S)

    await serve_pvs(group.pvdb, port=port, work=follow(), ready=ready, stop=stop)


def _number(value: float | None) -> float:
    return NAN if value is None else value


def _short(text: str) -> str:
    """Give as much of a text as a Channel Access string holds, which is 39 bytes."""
    return text.encode()[:39].decode(errors="ignore")
