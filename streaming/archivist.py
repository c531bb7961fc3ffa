"""Keeps ``scan.nxs``: receives results, writes the archive after each, tries again on a full disk, sets other runs' aside."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from operando.messages import CellReading, RunStarted
from operando.profile import Profile
from streaming.archive import run_of_archive, write_scan
from streaming.channels import PatternModel
from streaming.line_shelf import LineShelf
from streaming.refine.job import RefinedTomogram
from streaming.tomogram import Result

ARCHIVE_RETRY_S = 5.0
"""How long to leave a disk alone that did not take the archive."""


class Archivist:
    """Writes the archive of the run that is on; used from one thread.

    Parameters
    ----------
    out
        The folder of the beamtime.
    profile, model
        What patterns are fitted with.
    complain
        Called with a sentence when the disk does not take the archive, once until it does again.
    clock
        Monotonic seconds.
    provenance
        Where the lines come from, if this is not the live analysis.
    """

    def __init__(
        self,
        out: Path,
        *,
        profile: Profile,
        model: PatternModel,
        complain: Callable[[str], None],
        clock: Callable[[], float],
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        self.path = out / "scan.nxs"
        self._lines_folder = out / "lines"
        self._profile, self._model = profile, model
        self._complain, self._clock = complain, clock
        self._provenance = provenance
        self._retry_at: float | None = None

    @property
    def is_owed(self) -> bool:
        """Whether an archive that was refused should be tried again now."""
        return self._retry_at is not None and self._clock() >= self._retry_at

    def write(
        self,
        result: Result,
        *,
        run: RunStarted,
        shelf: LineShelf,
        state: str,
        readings: Sequence[CellReading],
        refined: RefinedTomogram | None = None,
    ) -> None:
        """Write ``scan.nxs``; a disk that does not take it costs the archive and not the live maps."""
        try:
            write_scan(
                self.path,
                result,
                run=run,
                profile=self._profile,
                model=self._model,
                line_files=[shelf.path(record.key) for record in result.records],
                state=state,
                readings=readings,
                provenance=self._provenance,
                refined=refined,
            )
        except OSError as refused:
            if self._retry_at is None:
                self._complain(f"cannot write {self.path}: {refused}. It is tried again; the line files are not touched")
            self._retry_at = self._clock() + ARCHIVE_RETRY_S
        else:
            self._retry_at = None

    def set_aside(self, run: RunStarted) -> None:
        """Keep the archive of another run than this under its run's name; its line files stay where they are."""
        other = run_of_archive(self.path)
        if other is not None and other != run.run:
            self.path.replace(self.path.with_name(f"scan-{LineShelf(other, self._lines_folder).folder.name}.nxs"))
