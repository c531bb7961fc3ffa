"""A scan made beforehand: distinct frames, packed, given in turn, for rates at which none can be made.

Frame k is that of one pulse of the scan, evenly chosen; a pulse gets the frame of its number modulo how many there are. Where
the sample stood then says nothing about the frame: this is for measuring a stream, not for maps.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import structlog
from numpy.typing import NDArray

from acquisition.twin.cable import Pulse
from acquisition.twin.patterns import scan_pulses
from acquisition.twin.sample import SampleFrames
from acquisition.twin.simplon.bslz4 import Method, Packed, pack
from operando.profile import Profile

logger = structlog.get_logger(__name__)

METHOD: Method = "bslz4"
N_THREADS = 2


class PreparedFrames:
    """Frames of a scan, packed once; read-only, served by any number of threads."""

    def __init__(self, source: SampleFrames, pulses: Sequence[Pulse]) -> None:
        self._source, self._pulses = source, pulses
        with ThreadPoolExecutor(N_THREADS) as pool:
            self._packed = list(pool.map(lambda pulse: pack(source.frame(pulse, image_id=0), METHOD), pulses))
        logger.info("frames prepared", frames=len(self), mean_bytes=round(float(np.mean([len(p.blob) for p in self._packed]))))

    def __len__(self) -> int:
        return len(self._packed)

    def frame(self, pulse: Pulse | None, image_id: int) -> NDArray[np.uint32]:
        """Give the counts of a prepared frame: made again, the same."""
        return self._source.frame(self._pulses[self._index(pulse, image_id)], image_id=0)

    def packed(self, pulse: Pulse | None, image_id: int, method: Method) -> Packed | None:
        """Give the frame in its wire form, or None where it was prepared in another."""
        return self._packed[self._index(pulse, image_id)] if method == METHOD else None

    def _index(self, pulse: Pulse | None, image_id: int) -> int:
        return (image_id if pulse is None else pulse.number) % len(self._packed)


def prepare(profile: Profile, *, n_frames: int) -> PreparedFrames:
    """Make ``n_frames`` distinct frames, evenly over the profile's scan."""
    every = [pulse for line in scan_pulses(profile) for pulse in line]
    chosen = np.linspace(0, len(every) - 1, n_frames).astype(np.int64)
    # Numbered anew: a scan with fewer points than frames still gives distinct ones.
    pulses = [every[index].model_copy(update={"number": number}) for number, index in enumerate(chosen)]
    return PreparedFrames(SampleFrames(profile), pulses)
