"""The analysis process: follows journal and reduction, takes up line files, gives maps to the archive and to the results feed.

:class:`Analysis` holds no socket and no clock of its own; :func:`serve` gives it both. Everything that it knows can be had
again from the journal and the line files, so it may die at any moment and comes back with the same maps.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import structlog
from numpy.typing import NDArray

from operando.bus import AnswerServer, FeedClient, FeedServer, MemoryStore, Store
from operando.errors import DataError
from operando.messages import (
    CakePreview,
    CellReading,
    FrameGeometry,
    FramePreview,
    LineAborted,
    LineFlown,
    LineWritten,
    Message,
    Notice,
    RunStarted,
    RunStopped,
    ScanState,
    ServicesOffered,
    StreamStatus,
)
from operando.profile import Profile
from operando.scan import LineKey
from streaming.answering import KnownTomograms, RegionAnswerer
from streaming.archive import run_of_archive, write_scan
from streaming.centre import CENTRES_AGREE, compare_centres
from streaming.channels import PatternModel, make_pattern_model
from streaming.correct.found import words_on
from streaming.line_shelf import LineShelf
from streaming.publish import publish_progress, publish_result
from streaming.run_cell import RunCell
from streaming.run_state import UNDER_WAY, RunState, State
from streaming.tomogram import Result, Tomogram

logger = structlog.get_logger(__name__)

PUBLISH_INTERVAL_S = 1 / 3
"""Maps come at most this often: faster shows nothing that eyes see and takes time from the lines of a catch-up."""
ARCHIVE_RETRY_S = 5.0
"""How long to leave a disk alone that did not take the archive."""
_POLL_S = 0.02
_MANY_ENTRIES = 1000
"""Entries at once that are the middle of a long journal, not its end."""
_KEYS = {StreamStatus: "status", FramePreview: "frame", FrameGeometry: "geometry", CakePreview: "cake"}


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Analyse line files and serve the results feed until told to stop.

    Parameters
    ----------
    profile
        Phases, settings and addresses.
    out
        The folder of the beamtime: line files are read below it, ``scan.nxs`` is written there.
    ready
        Called once, when results are served.
    stop
        Ends the work; what has been taken up is still published and archived.

    Raises
    ------
    ProfileError, MissingInputError
        If a phase or the geometry cannot be read.
    ServiceError
        If the feed's port is taken.
    """
    model = make_pattern_model(profile)
    store = MemoryStore()
    analysis = Analysis(profile, model, out=out, store=store, clock=time.monotonic, wall_clock=time.time)
    addresses = profile.addresses
    answer = RegionAnswerer(profile, model, lines_folder=out / "lines", ingredients_of=analysis.tomograms)
    with (
        FeedServer(store, addresses.results),
        AnswerServer(addresses.questions, answer) as questions,
        FeedClient(addresses.journal) as journal,
        FeedClient(addresses.reduction) as reduction,
    ):
        analysis.offer(questions.address)
        logger.info("analysing", journal=addresses.journal, reduction=addresses.reduction)
        ready()
        while not stop.is_set():
            patience_s = 0.0 if analysis.is_behind else _POLL_S
            heard = [*journal.poll(patience_s), *reduction.poll(patience_s)]
            for entry in heard:
                analysis.hear(entry.message, entry.arrays)
            # A long journal comes in parts: only its end says which run is on.
            if len(heard) < _MANY_ENTRIES:
                analysis.work()
        analysis.finish()


class Analysis:
    """What the process knows; used from one thread.

    Parameters
    ----------
    profile
        Phases and settings.
    model
        The profile's pattern model.
    out
        The folder of the beamtime.
    store
        The results feed.
    clock
        Monotonic seconds.
    wall_clock
        Seconds since the epoch.
    provenance
        Where the lines come from, for the archive, if this is not the live analysis.
    """

    def __init__(
        self,
        profile: Profile,
        model: PatternModel,
        *,
        out: Path,
        store: Store,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        provenance: Mapping[str, str] | None = None,
    ) -> None:
        self._provenance = provenance
        self._profile, self._model, self._out, self._store = profile, model, out, store
        self._clock, self._wall_clock = clock, wall_clock
        self.tomograms = KnownTomograms(profile, out)
        """What can be asked about regions."""
        self._run: RunStarted | None = None
        self._tomogram: Tomogram | None = None
        self._shelf = LineShelf("", out / "lines")
        self._state = RunState(clock=clock)
        self._pending: dict[LineKey, None] = {}
        self._written: dict[LineKey, LineWritten] = {}
        self._aborted: set[LineKey] = set()
        self._latest_cell: CellReading | None = None
        self._cell = RunCell()
        self._revision = 0
        self._shown_state = ""
        self._told: set[str] = set()
        self._is_dirty = False
        self._published_at = float("-inf")
        self._archive_retry_at: float | None = None
        self._services = ServicesOffered(time_s=0.0)

    def offer(self, questions: str) -> None:
        """Say where questions are answered."""
        self._say_services(questions=questions)

    def hear(self, message: Message, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up a message of either feed; those that came before change nothing."""
        match message:
            case RunStarted():
                self._start(message)
            case LineWritten():
                key = LineKey(run=message.run, line=message.line, attempt=message.attempt)
                self._written[key] = message
                self._pending[key] = None
            case LineAborted():
                self._aborted.add(LineKey(run=message.run, line=message.line, attempt=message.attempt))
                self._hear_of_run(message.run, message)
            case LineFlown() | RunStopped():
                self._hear_of_run(message.run, message)
            case CellReading():
                # The order of the journal counts, not the reading's time: a clock that was set back must not stop the display.
                if message != self._latest_cell:
                    self._latest_cell = message
                    self._cell.add(message)
                    self._store.append(message)
            case ScanState():
                self._state.hear(message)
                self._store.append(message, key="scan_state")
            case ServicesOffered():
                self._say_services(commands=message.commands)
            case Notice():
                self._store.append(message)
            case StreamStatus() | FramePreview() | FrameGeometry() | CakePreview():
                self._store.append(message, key=_KEYS[type(message)], arrays=arrays)

    @property
    def is_behind(self) -> bool:
        """Whether lines of the current run are waiting."""
        return self._run is not None and any(key.run == self._run.run for key in self._pending)

    def work(self) -> None:
        """Take up one line that is waiting, and publish what is due."""
        if self._run is None:
            return
        if self._tomogram is None:
            self._open(self._run)
        key = next((key for key in self._pending if key.run == self._run.run), None)
        if key is not None:
            del self._pending[key]
            self._take_up(key)
        is_due = self._clock() - self._published_at >= PUBLISH_INTERVAL_S
        is_owed = self._archive_retry_at is not None and self._clock() >= self._archive_retry_at
        if (self._is_dirty and is_due) or is_owed or self._state_in_a_word != self._shown_state:
            self._publish()

    def finish(self) -> None:
        """Take up all that is waiting and publish it."""
        while self.is_behind:
            self.work()
        if self._is_dirty:
            self._publish()

    def _start(self, run: RunStarted) -> None:
        if run == self._run:
            return
        self._run, self._tomogram = run, None
        self._state = RunState(clock=self._clock)
        self._cell.begin(run.time_s)
        self._shown_state = ""
        self._told = set()
        self._store.append(run, key=f"run/{run.run}")

    def _hear_of_run(self, run: str, message: Message) -> None:
        if self._run is None or run != self._run.run:
            return
        self._state.hear(message)
        if isinstance(message, LineAborted) and self._tomogram is not None:
            try:
                self._tomogram.abort(line=message.line, attempt=message.attempt)
            except (DataError, OSError) as wrong:
                self._notice(f"line {message.line}, attempt {message.attempt} still weighs the maps: {wrong}")
            self._is_dirty = True

    def _open(self, run: RunStarted) -> None:
        """Begin a run, with the lines that are already there."""
        self._keep_archive_of_other_run(run)
        self._shelf = LineShelf(run.run, self._out / "lines")
        self._tomogram = Tomogram(profile=self._profile, model=self._model, run=run, read_again=self._shelf)
        for key in self._aborted:
            if key.run == run.run:
                self._tomogram.abort(line=key.line, attempt=key.attempt)
        found = self._shelf.scan()
        self._pending = {**dict.fromkeys(found), **self._pending}
        logger.info("run opened", run=run.run, lines=len(run.angles_deg), found=len(found))

    def _take_up(self, key: LineKey) -> None:
        written = self._written.get(key)
        if self._tomogram is None or (self._tomogram.has(key) and not self._is_news(key, written)):
            return
        if written is not None:
            self._shelf.note(key, Path(written.path))
        try:
            self._tomogram.add(self._shelf(key))
        except (DataError, OSError) as wrong:
            logger.warning("line refused", line=key.line, attempt=key.attempt, reason=str(wrong))
            self._notice(f"line {key.line}, attempt {key.attempt} is not in the maps: {wrong}")
        for lost in self._tomogram.take_lost():
            self._notice(f"line {lost.key.line}, attempt {lost.key.attempt} is no longer in the maps: {lost.reason}")
        self._state.take_up(line=key.line, attempt=key.attempt)
        self._is_dirty = True

    def _is_news(self, key: LineKey, written: LineWritten | None) -> bool:
        """Tell whether a line's file holds other points than were taken up: images that came late are added to it."""
        if self._tomogram is None or written is None:
            return False
        return written.n_received != self._tomogram.n_received(key)

    @property
    def _state_in_a_word(self) -> State:
        return "scanning" if self.is_behind else self._state.state

    def _publish(self) -> None:
        if self._run is None or self._tomogram is None:
            return
        state, now_s = self._state_in_a_word, self._wall_clock()
        result = self._tomogram.result()
        if state not in UNDER_WAY and state != self._shown_state:
            self._conclude(result)
        archive = self._out / "scan.nxs"
        if result is not None:
            self._revision += 1
            self._tell_of_faults(result)
            self.tomograms.hand_over(result.ingredients)
            publish_result(
                self._store,
                result,
                run=self._run,
                model=self._model,
                revision=self._revision,
                latest_cell=self._latest_cell,
                time_s=now_s,
            )
            self._write_archive(archive, result, state=state)
        attempts = self._tomogram.n_attempts
        publish_progress(
            self._store, result, run=self._run, state=state, attempts=attempts, archive=str(archive), time_s=self._wall_clock()
        )
        self._shown_state, self._is_dirty, self._published_at = state, False, self._clock()

    def _write_archive(self, path: Path, result: Result, *, state: str) -> None:
        """Write ``scan.nxs``; a disk that does not take it costs the archive and not the live maps."""
        if self._run is None:
            return
        files = [self._shelf.path(record.key) for record in result.records]
        try:
            write_scan(
                path,
                result,
                run=self._run,
                profile=self._profile,
                model=self._model,
                line_files=files,
                state=state,
                readings=self._cell.readings,
                provenance=self._provenance,
            )
        except OSError as refused:
            if self._archive_retry_at is None:
                self._notice(
                    f"cannot write {path}: {refused}. It is tried again; the line files are not touched", level="error"
                )
            self._archive_retry_at = self._clock() + ARCHIVE_RETRY_S
        else:
            self._archive_retry_at = None

    def _conclude(self, result: Result | None) -> None:
        """Say once, at the end of a run, what a person should know of it."""
        if self._state.missing:
            self._notice(f"the run is over, but these lines (line, attempt) never came: {self._state.missing[:20]}")
        if result is None or self._run is None:
            return
        estimates = compare_centres(result.mass_sinogram, np.array(self._run.angles_deg))
        if len(estimates) > 1:
            first_mm, step_mm = self._run.first_position_mm, self._run.step_mm
            words = ", ".join(f"{name} {first_mm + step_mm * centre.index:.4f}" for name, centre in estimates.items())
            is_split = np.ptp([centre.index for centre in estimates.values()]) > CENTRES_AGREE
            text = f"rotation centre (mm): {words}" + ("; they disagree: is the sample drifting?" if is_split else "")
            self._notice(text, level="warning" if is_split else "info")

    def _tell_of_faults(self, result: Result) -> None:
        """Say of each fault of the scan once in a run that it was found."""
        if self._run is None:
            return
        words = words_on(result.found, step_mm=self._run.step_mm, speed_mm_s=self._run.speed_mm_s)
        for fault, text in words.items():
            if fault not in self._told:
                self._told.add(fault)
                self._notice(text)

    def _keep_archive_of_other_run(self, run: RunStarted) -> None:
        """Set the archive of an earlier run aside under its run's name; its line files stay where they are."""
        archive = self._out / "scan.nxs"
        other = run_of_archive(archive)
        if other is not None and other != run.run:
            archive.replace(archive.with_name(f"scan-{LineShelf(other, self._out / 'lines').folder.name}.nxs"))

    def _say_services(self, **addresses: str) -> None:
        self._services = self._services.model_copy(update={**addresses, "time_s": self._wall_clock()})
        self._store.append(self._services, key="services")

    def _notice(self, text: str, *, level: Literal["info", "warning", "error"] = "warning") -> None:
        self._store.append(Notice(level=level, origin="analyse", text=text[:4000], time_s=self._wall_clock()))
