"""In which order the angles of a tomogram fly.

Sequential order turns least. Interlaced order spreads every pass over the whole range, so that a map of the whole slice exists
after the first pass and an early end costs resolution, not a wedge. Passes start at bit-reversed offsets, each as far as can be
from those that have flown (van der Corput, Proc. Akad. Amsterdam 38 (1935) 813), and run to and fro, so that the stage never
flies back empty.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from operando.profile import Scan


def angles_in_flying_order(scan: Scan) -> NDArray[np.float64]:
    """Give the angle of each line, shape (n_lines,), degree; all are multiples of range / n_lines."""
    index = np.arange(scan.n_lines) if scan.order == "sequential" else interlaced_order(scan.n_lines, scan.interlaces)
    return index.astype(np.float64) * (scan.angle_range_deg / scan.n_lines)


def interlaced_order(n_lines: int, n_passes: int) -> NDArray[np.int64]:
    """Give the numbers 0 ... n_lines - 1 in ``n_passes`` passes over the range, to and fro, shape (n_lines,)."""
    offsets = bit_reversed(min(n_passes, n_lines))
    passes = [np.arange(offset, n_lines, len(offsets)) for offset in offsets]
    return np.concatenate([one[::-1] if number % 2 else one for number, one in enumerate(passes)])


def bit_reversed(n: int) -> list[int]:
    """Give the numbers 0 ... n - 1 ordered by their reversed bits."""
    n_bits = max(n - 1, 0).bit_length()
    return sorted(range(n), key=lambda number: int(f"{number:0{n_bits}b}"[::-1], 2) if n_bits else 0)


def turns_deg(angles_deg: NDArray[np.float64], *, start_deg: float = 0.0) -> NDArray[np.float64]:
    """Give how far the stage turns before each line, shape (n_lines,), degree."""
    return np.array([abs(after - before) for before, after in pairwise([start_deg, *angles_deg.tolist()])])
