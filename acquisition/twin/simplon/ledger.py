"""Numbers of series that go on where the last life of the detector ended: no old announcement meets a new series."""

from pathlib import Path

from operando.errors import DataError


class Ledger:
    """Counts series up from 1; with a file, over restarts.

    Parameters
    ----------
    path
        Where the last number is kept; None keeps it in memory only.

    Raises
    ------
    DataError
        If the file holds no number.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self.last_series = 0
        if path is not None and path.exists():
            text = path.read_text(encoding="utf-8").strip()
            if not text.isdecimal():
                raise DataError(f"{path} holds {text[:40]!r}, wanted the number of the last series: remove the file")
            self.last_series = int(text)

    def next_series(self) -> int:
        """Give the next number; it is on disk before it is used."""
        number = self.last_series + 1
        if self._path is not None:
            new = self._path.with_suffix(".new")
            new.write_text(f"{number}\n", encoding="utf-8")
            new.replace(self._path)
        self.last_series = number
        return number
