"""What a frame source hands to the workers: a message as it came over a wire, or one that was made of a file."""

from dataclasses import dataclass

from streaming.detector_message import DetectorMessage


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message as it came over a wire."""

    parts: tuple[bytes, ...]
    received_s: float
    """Unix epoch."""

    @property
    def n_bytes(self) -> int:
        """Size of all parts."""
        return sum(map(len, self.parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A message that need not be parsed any more."""

    message: DetectorMessage
    received_s: float
    """Unix epoch."""


Arrival = Received | Told
