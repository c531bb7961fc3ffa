"""What a simulated cell did: voltage, current, temperature, charge, and the lithium through both coatings, over time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from acquisition.cell.recording import Recording

Column = NDArray[np.float64]

TICK_S = 1.0
"""A cycler writes once a second: the rows of a recording made from a history are this far apart."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellHistory:
    """The life of one simulated cell; every column has shape (n_times,).

    Lithium is conserved: a change of mean x times ``anode_ah`` is a change of ``charge_ah - leaked_ah``, and minus a change
    of mean y times ``cathode_ah``.
    """

    name: str
    time_s: Column
    """Seconds since the start, never descending; two rows share a time where a step ends."""
    voltage_v: Column
    current_a: Column
    """Through the terminals, positive while the cell charges."""
    temperature_c: Column
    charge_ah: Column
    """Charge passed through the terminals since the start, positive for charging."""
    leaked_ah: Column
    """Charge lost inside the cell since the start, which no cycler sees."""
    cycle: NDArray[np.int64]
    step: tuple[str, ...]
    x: NDArray[np.float64]
    """x in LixC6 through the anode's coating, shape (n_times, n_nodes); nodes are the middles of equal parts of the thickness,
    the first at the separator, the last at the foil. No nodes where the anode is lithium metal."""
    y: NDArray[np.float64]
    """y in LiyNMC through the cathode's coating, likewise; for a single particle along its radius, the first at its surface,
    in shells of equal volume."""
    anode_ah: float
    """Charge that fills the anode from x = 0 to x = 1; 0 for lithium metal."""
    cathode_ah: float
    """Charge that fills the cathode from y = 0 to y = 1."""

    @property
    def duration_s(self) -> float:
        """Time from the first row to the last, s."""
        return float(self.time_s[-1])

    def x_at(self, recorded_s: float) -> Column:
        """Give x through the anode at a time since the start, shape (n_nodes,); before and after, the first and last stand."""
        return _row_at(self.time_s, self.x, recorded_s)

    def y_at(self, recorded_s: float) -> Column:
        """Give y through the cathode at a time since the start, shape (n_nodes,)."""
        return _row_at(self.time_s, self.y, recorded_s)

    @property
    def recording_name(self) -> str:
        """What a person knows its recording by."""
        return f"PyBaMM: {self.name}"

    def recording(self) -> Recording:
        """Give what a cycler on this cell would have written."""
        ticks = np.arange(np.floor(self.duration_s / TICK_S) + 1) * TICK_S
        row = np.maximum(np.searchsorted(self.time_s, ticks, side="right") - 1, 0)

        def sampled(column: Column) -> Column:
            return np.interp(ticks, self.time_s, column)

        return Recording(
            name=self.recording_name,
            time_s=ticks,
            voltage_v=sampled(self.voltage_v),
            current_a=sampled(self.current_a),
            charge_ah=sampled(self.charge_ah),
            temperature_c=sampled(self.temperature_c),
            cycle=self.cycle[row],
            step=tuple(self.step[i] for i in row),
        )


def _row_at(times_s: Column, rows: NDArray[np.float64], time_s: float) -> Column:
    after = int(np.searchsorted(times_s, time_s, side="right"))
    if after in (0, len(times_s)):
        return rows[min(after, len(times_s) - 1)]
    earlier_s, later_s = times_s[after - 1], times_s[after]
    fraction = (time_s - earlier_s) / (later_s - earlier_s)
    return (1 - fraction) * rows[after - 1] + fraction * rows[after]
