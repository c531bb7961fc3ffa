"""Spread the lithium of a history over a slice: a lag that follows the rate, with the slice's total conserved at each time.

A place with lag 1 is behind the mean of its electrode by what the lithium changed in the last hour: ``behind(t)`` is the change
of the mean, forgotten with a time constant. It is large at high rate, small at C/20, has the sign of the change, and dies away
at rest.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from acquisition.twin.cell.history import CellHistory

Field = NDArray[np.float64]

FORGET_S = 3600.0
"""Time in which regions of a roll come back to one potential; modelled."""
PIECE = 0.02
"""A slice stands until lithium somewhere in the history's profiles, or the lag, has changed by this."""


def behind(time_s: Field, mean: Field) -> Field:
    """Give what a lagging place is behind the mean: db/dt = dmean/dt - b / FORGET_S from b = 0, exact for straight pieces."""
    lagged = np.zeros(len(time_s))
    for row in range(1, len(time_s)):
        step_s = time_s[row] - time_s[row - 1]
        if step_s <= 0:
            lagged[row] = lagged[row - 1]
            continue
        kept = np.exp(-step_s / FORGET_S)
        slope = (mean[row] - mean[row - 1]) / step_s
        lagged[row] = lagged[row - 1] * kept + slope * FORGET_S * (1 - kept)
    return lagged


def spread(profile: Field, *, node: NDArray[np.intp], weight: Field, lag: Field, behind: float) -> Field:
    """Give the lithium of every entry: the profile at its depth less its lag, shifted for the mean to be the profile's.

    Parameters
    ----------
    profile
        Lithium at each depth, shape (n_nodes,), equal parts of the thickness.
    node, weight, lag
        Depth, amount and lag of each entry, shape (n_entries,).
    behind
        What a place of lag 1 is behind the mean.
    """
    wanted = profile[node] - lag * behind
    total = float(weight.sum() * profile.mean())

    def surplus(shift: float) -> float:
        return float(weight @ np.clip(wanted + shift, 0, 1)) - total

    shift = brentq(surplus, -1 - wanted.max(), 2 - wanted.min(), xtol=1e-12)
    return np.clip(wanted + shift, 0, 1)


def piece_starts(history: CellHistory, *lags: Field) -> NDArray[np.intp]:
    """Give the rows of a history at which a new slice is due, shape (n_pieces,); the first is 0."""
    columns = np.concatenate([history.x, history.y, *(lag[:, np.newaxis] for lag in lags)], axis=1)
    starts = [0]
    for row in range(1, len(columns)):
        if np.abs(columns[row] - columns[starts[-1]]).max() > PIECE:
            starts.append(row)
    return np.array(starts, dtype=np.intp)
