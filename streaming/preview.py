"""Small pictures of the newest image: the largest unmasked value of each square of pixels, so that a spot never disappears."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from operando.messages import FramePreview
from streaming.due import Due
from streaming.events import Previewed
from streaming.measured import Measured

MASKED = np.iinfo(np.uint32).max


class Previewer:
    """Makes a preview when one is due; called from the workers.

    Parameters
    ----------
    binning
        Edge of the square of pixels that one preview pixel stands for.
    interval_s
        Shortest time between two previews.
    clock
        Monotonic seconds.
    """

    def __init__(self, *, binning: int, interval_s: float, clock: Callable[[], float]) -> None:
        self._binning = binning
        self._due = Due(interval_s=interval_s, clock=clock)

    def preview(self, frame: NDArray[Any], measured: Measured) -> Previewed | None:
        """Give the preview of an image of shape (rows, columns), or None if it is too early for another."""
        if not self._due.take():
            return None
        message = FramePreview(
            time_s=measured.received_s,
            series=measured.frame.series.series,
            image_id=measured.frame.image_id,
            binning=self._binning,
            n_saturated=measured.pattern.n_saturated,
        )
        return Previewed(message=message, image=largest_of_squares(frame, self._binning))


def largest_of_squares(frame: NDArray[Any], edge: int) -> NDArray[np.uint32]:
    """Give the largest unmasked value of each square of pixels; squares at the far edges may be smaller.

    Parameters
    ----------
    frame
        Counts, shape (rows, columns), unsigned; the largest value of the type is masked.
    edge
        Pixels along one side.
    """
    rows, columns = frame.shape
    found = np.empty((-(-rows // edge), -(-columns // edge)), dtype=np.uint32)
    _fill_largest(frame.astype(np.uint32, copy=False), np.uint32(np.iinfo(frame.dtype).max), edge, found)
    return found


@numba.njit(
    "void(Array(uint32, 2, 'C', readonly=True), uint32, int64, Array(uint32, 2, 'C'))", nogil=True, cache=True, fastmath=False
)
def _fill_largest(frame: Any, masked: Any, edge: int, found: Any) -> None:
    for row in range(found.shape[0]):
        for column in range(found.shape[1]):
            largest = np.uint32(0)
            is_seen = False
            for y in range(row * edge, min((row + 1) * edge, frame.shape[0])):
                for x in range(column * edge, min((column + 1) * edge, frame.shape[1])):
                    value = frame[y, x]
                    if value != masked:
                        is_seen = True
                        largest = max(largest, value)
            found[row, column] = largest if is_seen else np.uint32(MASKED)
