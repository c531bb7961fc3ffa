"""From the times that a cycler writes to the Unix epoch, still by the cycler's clock.

Local times need the zone of the cycler's computer. In the hour that autumn repeats the earlier reading of a time is taken,
unless that would go back behind the row before: then it is the later one.
"""

from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from operando.errors import DataError
from operando.profile import Cell

_MONTH_FIRST = ("%m{0}%d{0}%Y", "%m{0}%d{0}%y")
_DAY_FIRST = ("%d{0}%m{0}%Y", "%d{0}%m{0}%y")
_YEAR_FIRST = ("%Y{0}%m{0}%d",)
_CLOCKS = ("%H:%M:%S.%f", "%H:%M:%S", "%I:%M:%S %p", "%H:%M")
_FOLD_S = 7200.0
"""No zone repeats more than this."""


class CyclerTime:
    """Reads the times of one cycler's files.

    Parameters
    ----------
    zone
        IANA name; empty is the zone of this computer.
    day_first
        Whether dates begin with the day instead of the month.
    """

    def __init__(self, *, zone: str = "", day_first: bool = False) -> None:
        self._zone: tzinfo | None = ZoneInfo(zone) if zone else None
        self._day_first = day_first
        self._newest_s = float("-inf")

    @classmethod
    def of(cls, cell: Cell) -> "CyclerTime":
        """Give the times as a profile describes them."""
        return cls(zone=cell.timezone, day_first=cell.day_first)

    def parse(self, text: str, *, pattern: str = "") -> datetime:
        """Read a date and time as it is written, without zone.

        Raises
        ------
        DataError
            If it is not one in the known orders, or not in the given strptime pattern.
        """
        text = text.strip().replace(",", ".")
        for candidate in (pattern,) if pattern else self._patterns(text):
            try:
                return datetime.strptime(text, candidate)  # noqa: DTZ007  the zone is added by `epoch_s`
            except ValueError:
                continue
        order = pattern or ("day first" if self._day_first else "month first")
        raise DataError(f"found the time {text[:40]!r}, wanted {order}: set cell.day_first, or a pattern as cell.units.time")

    def epoch_s(self, written: datetime, *, elapsed_s: float = 0.0) -> float:
        """Give the time that lies ``elapsed_s`` behind a written one, Unix epoch; call it in the order of the rows."""
        found_s = self._epoch_s(written) + elapsed_s
        later_s = self._epoch_s(written.replace(fold=1)) + elapsed_s
        if found_s < self._newest_s <= later_s and later_s - found_s <= _FOLD_S:
            found_s = later_s
        self._newest_s = max(self._newest_s, found_s)
        return found_s

    def _epoch_s(self, written: datetime) -> float:
        if written.tzinfo is not None:
            return written.timestamp()
        # A naive time is one of this computer's zone.
        return (written if self._zone is None else written.replace(tzinfo=self._zone)).timestamp()

    def _patterns(self, text: str) -> list[str]:
        joiner = "T" if "T" in text else " "
        separator = next((mark for mark in "-/." if mark in text.split(joiner)[0]), "/")
        dates = (*_YEAR_FIRST, *(_DAY_FIRST if self._day_first else _MONTH_FIRST))
        return [f"{date.format(separator)}{joiner}{clock}" for date in dates for clock in _CLOCKS]


def duration_s(text: str) -> float:
    """Give seconds of a duration such as ``12:34:56.7``, or ``2 12:34:56`` or ``2d 12:34:56`` with days before it.

    Raises
    ------
    DataError
        If it is not one.
    """
    *days, clock = text.replace("d", " ").replace("-", " ").split()
    try:
        hours, minutes, seconds = clock.split(":")
        whole = timedelta(
            days=float(days[0]) if days else 0, hours=float(hours), minutes=float(minutes), seconds=float(seconds)
        )
    except (ValueError, IndexError) as wrong:
        raise DataError(f"found the duration {text[:40]!r}, wanted hours:minutes:seconds") from wrong
    return whole.total_seconds()
