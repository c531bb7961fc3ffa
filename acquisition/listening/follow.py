"""Follow the scan tables of a beamtime: every table is a run, and each of its words goes to the journal once.

What the journal holds already is not written again, so a listener that died begins at the head of the table and goes on where
it was. A run ends when its table says so (``# end: success``), when all its lines have flown, or when another table begins.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import structlog

from acquisition.cell.row import number
from acquisition.listening.lines import LineBook
from acquisition.listening.row import RowReader
from acquisition.listening.table import ScanTable, TableNews, open_table
from acquisition.plans.order import angles_in_flying_order
from operando.bus.store import Store
from operando.errors import DataError, MissingInputError, ProfileError
from operando.messages import (
    CellReading,
    LineAborted,
    LineAnnounced,
    LineFlown,
    Message,
    Notice,
    RunStarted,
    RunStopped,
)
from operando.profile import Listen, Profile

logger = structlog.get_logger(__name__)

ORIGIN = "listen"
ExitStatus = Literal["success", "abort", "fail"]
_ENDS: dict[str, ExitStatus] = {"success": "success", "abort": "abort", "aborted": "abort", "fail": "fail", "failed": "fail"}


class Follower:
    """Turns tables into the words of a journal; used from one thread.

    Parameters
    ----------
    profile
        The table, its columns, and the tomogram that is expected.
    journal
        Where the words go; what stands in it is not said again.
    cell_at
        Gives the state of the cell at a time (Unix epoch), for tables that do not tell it.
    metadata
        What every run says of itself.
    clock, wall_clock
        Monotonic seconds, and seconds since the Unix epoch.
    """

    def __init__(
        self,
        profile: Profile,
        journal: Store,
        *,
        cell_at: Callable[[float], CellReading | None],
        metadata: dict[str, object],
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        if profile.listen is None:
            raise ProfileError('control.mode "listen" needs the section listen with its table')
        self._profile, self._listen, self._journal, self._metadata = profile, profile.listen, journal, metadata
        self._cell_at, self._clock, self._wall_clock = cell_at, clock, wall_clock
        self._pattern = profile.path(Path(self._listen.table))
        self._said = _Said(journal)
        self._path: Path | None = None
        self._table: ScanTable | None = None
        self._run: _Run | None = None
        self._trouble = ""

    def look(self) -> None:
        """Take in what is new in the tables."""
        newer = self._newer()
        if self._table is not None and self._path is not None:
            # Before the next table is begun, this one is read to its end.
            self._take(self._table.look(), self._path)
        for path in newer:
            self._finish("abort", f"the table {path.name} began")
            self._path, self._table = path, open_table(path)
            self._take(self._table.look(), path)
        if self._path is None:
            self._complain(f"no scan table {self._pattern} yet", level="info")

    def _newer(self) -> list[Path]:
        """Give the tables that are newer than the followed one, oldest first."""
        try:
            found = sorted(self._pattern.parent.glob(self._pattern.name), key=lambda path: (path.stat().st_mtime_ns, path.name))
        except OSError:
            return []
        return found[found.index(self._path) + 1 :] if self._path in found else found

    def _take(self, news: TableNews, path: Path) -> None:
        if news.trouble:
            self._complain(news.trouble)
        if self._run is None and (news.records or "end" in news.facts):
            self._run = self._begin(news.facts, path)
        run = self._run
        if run is None:
            return
        for record in news.records:
            try:
                self._say_all(run.book.add(run.reader.row(record)))
            except DataError as wrong:
                self._complain(f"{path.name}: {wrong}")
        self._say_all(run.book.close_if_quiet())
        if "end" in news.facts:
            self._finish(_ENDS.get(news.facts["end"].lower(), "fail"), "the scan table says so")
        elif {line for line, _ in run.book.flown} >= set(range(run.n_lines)):
            self._finish("success", "all lines have flown")

    def _begin(self, facts: dict[str, str], path: Path) -> "_Run":
        started = self._started(facts, path)
        book = LineBook(
            started.run,
            n_points=started.n_points,
            quiet_s=self._listen.quiet_s,
            cell_at=self._cell_at,
            clock=self._clock,
            wall_clock=self._wall_clock,
        )
        if not self._said.run(started.run):
            self._say(started)
        return _Run(started, book, RowReader(self._profile, source=path.name))

    def _started(self, facts: dict[str, str], path: Path) -> RunStarted:
        """Give the run as the table describes it, and where it does not, as the profile expects it."""
        scan = self._profile.scan
        try:
            told = {name: number(facts[name]) for name in ("first_position_mm", "step_mm", "n_points") if name in facts}
            angles_deg = [number(word) for word in facts.get("angles_deg", "").replace(",", " ").split()]
        except DataError as wrong:
            self._complain(f"{path.name}: {wrong}: what the profile expects is taken")
            told, angles_deg = {}, []
        step_mm, n_points = told.get("step_mm", scan.step_mm), int(told.get("n_points", scan.n_points))
        period_s = scan.exposure_s + self._profile.detector.readout_s
        return RunStarted(
            run=facts.get("run", path.stem)[:200],
            time_s=self._wall_clock(),
            profile=self._profile.name,
            plan="listen",
            sample=facts.get("sample", "")[:4000],
            cell=" ".join(word for word in (self._profile.cell.name, self._profile.cell.chemistry) if word),
            angles_deg=angles_deg or np.asarray(angles_in_flying_order(scan)).tolist(),
            first_position_mm=told.get("first_position_mm", scan.centre_mm - 0.5 * (n_points - 1) * step_mm),
            step_mm=step_mm,
            n_points=n_points,
            exposure_s=scan.exposure_s,
            period_s=period_s,
            speed_mm_s=step_mm / period_s,
            geometry_sha256=str(self._metadata.get("geometry_sha256", "")),
            metadata={**self._metadata, "scan_table": str(path), "scan_table_says": dict(facts)},
        )

    def _finish(self, status: ExitStatus, reason: str) -> None:
        """End the run that is on; the table is followed no further."""
        if self._run is None:
            return
        self._say_all(self._run.book.close())
        run, self._run, self._table = self._run, None, None
        if run.book.left_out:
            self._complain(f"{run.name}: {run.book.left_out} rows of lines that were over already are left out")
        self._say(RunStopped(run=run.name, exit_status=status, reason=reason, time_s=self._wall_clock()))

    def _say_all(self, words: list[Message]) -> None:
        for word in words:
            self._say(word)

    def _say(self, word: Message) -> None:
        """Write a word to the journal unless it stands there already."""
        if self._said.is_new(word):
            self._journal.append(word)

    def _complain(self, text: str, *, level: Literal["info", "warning"] = "warning") -> None:
        """Tell the person at the beamline, once until something else is to be told."""
        if text == self._trouble:
            return
        self._trouble = text
        self._journal.append(Notice(level=level, origin=ORIGIN, text=text[:4000], time_s=self._wall_clock()))
        logger.warning("scan table", trouble=text)


def describe_table(profile: Profile) -> str:
    """Say what the scan table of a profile holds now.

    Raises
    ------
    OperandoError
        If its folder is absent, or no row of it can be used.
    """
    listen = profile.listen or Listen(table="none")
    pattern = profile.path(Path(listen.table))
    if not pattern.parent.is_dir():
        raise MissingInputError(f"no folder {pattern.parent}: correct listen.table, or mount the share that it is on")
    tables = sorted(pattern.parent.glob(pattern.name), key=lambda path: path.stat().st_mtime_ns)
    if not tables:
        return f"no scan table {pattern} yet"
    news, reader = open_table(tables[-1]).look(), RowReader(profile, source=tables[-1].name)
    if news.trouble:
        raise DataError(news.trouble)
    rows = [reader.row(record) for record in news.records]
    kind = "frames" if rows and rows[0].position_mm is not None else "lines"
    lines = len({(row.line, row.attempt) for row in rows})
    return f"{tables[-1].name}: {len(rows)} rows, a table of {kind}, {lines} lines"


class _Run:
    """The run that is on."""

    def __init__(self, started: RunStarted, book: LineBook, reader: RowReader) -> None:
        self.name, self.n_lines = started.run, len(started.angles_deg)
        self.book, self.reader = book, reader


class _Said:
    """What stands in the journal already, by what it is about."""

    def __init__(self, journal: Store) -> None:
        self._keys: set[tuple[object, ...]] = set()
        for entry in journal.since(0, limit=journal.head):
            self.is_new(entry.message)

    def run(self, name: str) -> bool:
        """Tell whether a run has been started."""
        return (RunStarted, name) in self._keys

    def is_new(self, word: Message) -> bool:
        """Note a word, and tell whether it is the first of its kind about its line or run."""
        match word:
            case LineAnnounced() | LineFlown() | LineAborted():
                key: tuple[object, ...] = (type(word), word.run, word.line, word.attempt)
            case RunStarted() | RunStopped():
                key = (type(word), word.run)
            case _:
                return True
        is_new = key not in self._keys
        self._keys.add(key)
        return is_new
