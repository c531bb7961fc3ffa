"""One scan as the window knows it: a tomogram that is finished or still growing, one place of the slider."""

from dataclasses import dataclass, field

from operando.messages import CellReading, MapPublished, PatternPublished, RunStarted, ScanProgress, SinogramPublished
from viewer.checks import Shown


@dataclass(slots=True, kw_only=True, eq=False)
class Scan:
    """Everything that belongs to one tomogram of one run."""

    run: str | None = None
    tomogram: int = 0
    started: RunStarted | None = None
    maps: dict[str, Shown[MapPublished]] = field(default_factory=dict)
    """Newest of each name, in the order in which the names first came."""
    sinograms: dict[str, Shown[SinogramPublished]] = field(default_factory=dict)
    patterns: dict[str, Shown[PatternPublished]] = field(default_factory=dict)
    progress: ScanProgress | None = None

    @property
    def newest(self) -> MapPublished | None:
        """The message of the map that was published last."""
        messages = (shown.message for shown in self.maps.values())
        return max(messages, key=lambda message: message.revision, default=None)

    @property
    def span_s(self) -> tuple[float, float] | None:
        """When its first and its newest frame were taken, seconds since the epoch; None before anything is known."""
        ends = [shown.message.data_time_s for shown in self.maps.values()]
        # Later tomograms of a run began when the one before had ended; what is known then is when they were measured.
        starts = [self.started.time_s] if self.started is not None and self.tomogram == 0 else ends
        return (min(starts), max([*starts, *ends])) if starts else None

    @property
    def start_s(self) -> float | None:
        """When the run began, or what is known first of it; None before anything is known."""
        span = self.span_s
        return self.started.time_s if self.started is not None else None if span is None else span[0]

    @property
    def end_s(self) -> float | None:
        """When the newest frame of its maps was taken; when its end was told where there is no map."""
        span = self.span_s if self.maps else None
        return span[1] if span is not None else None if self.progress is None else self.progress.time_s

    @property
    def middle_s(self) -> float | None:
        """The middle of its time."""
        span = self.span_s
        return None if span is None else 0.5 * (span[0] + span[1])

    @property
    def cell(self) -> CellReading | None:
        """The cell as the newest map tells it."""
        newest = self.newest
        return None if newest is None else newest.cell
