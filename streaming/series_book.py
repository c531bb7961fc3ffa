"""Which series an image belongs to: receives starts, images and ends as they come, gives keys that never repeat.

A detector counts its series anew after a restart; some simulators start the same series again and again. V1 does not say in
the image which of two series of the same number it is: there the last START decides.
"""

from dataclasses import dataclass

from streaming.account import SeriesKey
from streaming.detector_message import Image, SeriesEnd, SeriesStart


@dataclass(slots=True, kw_only=True)
class _State:
    turn: int = 0
    has_images: bool = False
    has_ended: bool = False


class SeriesBook:
    """Remembers which series are open; used by whoever reads the messages in the order of their arrival."""

    def __init__(self) -> None:
        self._states: dict[tuple[int, str], _State] = {}
        self._newest_id: dict[int, str] = {}

    def start(self, message: SeriesStart) -> SeriesKey:
        """Give the key of a series that starts; a series that has ended, with images, begins another turn."""
        newest = self._newest_id.get(message.series)
        unique_id = message.unique_id
        if newest == "" and not self._state(message.series, "").has_ended:
            # START comes late, behind images that could not be told by a unique id.
            unique_id = ""
        self._newest_id[message.series] = unique_id
        state = self._state(message.series, unique_id)
        if state.has_ended and state.has_images:
            state.turn, state.has_images, state.has_ended = state.turn + 1, False, False
        return self._key(message.series, unique_id)

    def image(self, message: Image) -> SeriesKey:
        """Give the key of the series that an image belongs to."""
        unique_id = self._unique_id(message)
        self._state(message.series, unique_id).has_images = True
        return self._key(message.series, unique_id)

    def end(self, message: SeriesEnd) -> SeriesKey:
        """Give the key of a series that ends."""
        unique_id = self._unique_id(message)
        self._state(message.series, unique_id).has_ended = True
        return self._key(message.series, unique_id)

    def _unique_id(self, message: Image | SeriesEnd) -> str:
        if message.unique_id is not None:
            return message.unique_id
        return self._newest_id.setdefault(message.series, "")

    def _state(self, series: int, unique_id: str) -> _State:
        return self._states.setdefault((series, unique_id), _State())

    def _key(self, series: int, unique_id: str) -> SeriesKey:
        return SeriesKey(series=series, unique_id=unique_id, turn=self._state(series, unique_id).turn)
