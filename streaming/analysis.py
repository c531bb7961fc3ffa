"""The analysis process: follows journal and reduction, takes up line files, gives maps to the archive and to the results feed.

:class:`Analysis` holds no socket and no clock of its own; :func:`serve` gives it both. Everything that it knows can be had
again from the journal and the line files, so it may die at any moment and comes back with the same maps.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import structlog
from numpy.typing import NDArray

from operando.bus import AnswerServer, FeedClient, FeedServer, MemoryStore, Store
from operando.errors import DataError
from operando.messages import LineAborted, LineFlown, LineWritten, Message, RunStarted, RunStopped, ScanState
from operando.profile import Profile
from operando.scan import LineKey
from streaming.answering import KnownTomograms, RegionAnswerer
from streaming.archivist import Archivist
from streaming.channels import PatternModel, make_pattern_model
from streaming.densified import DensifiedTomogram, is_denser
from streaming.findings import findings
from streaming.forward import Forwarder
from streaming.gpu.device import choose_device
from streaming.gpu.refiner import kernel_on
from streaming.gpu.volume import voxels_on
from streaming.judge import Judge
from streaming.line_shelf import LineShelf
from streaming.plain_run import PlainRun
from streaming.publish import publish_plain, publish_progress, publish_refined, publish_result
from streaming.record import LineRecord
from streaming.refine.live import LiveRefinement
from streaming.refine.phase_list import FILE as PHASES_FILE
from streaming.refine.phase_list import PhaseList
from streaming.refine.worker import Refiner, RefineWorker
from streaming.remarks import new_faults, remark_on_centre
from streaming.run_state import UNDER_WAY, RunState, State
from streaming.silence import SilenceWatch
from streaming.tomogram import Tomogram
from streaming.turned import TurnedTomogram, is_flown_by_turns
from streaming.volume import MakeVolume
from streaming.which_run import makes_maps, own_runs

logger = structlog.get_logger(__name__)

PUBLISH_INTERVAL_S = 1 / 3
"""Maps come at most this often: faster shows nothing that eyes see and takes time from the lines of a catch-up."""
SERIES_PATIENCE_S = 20.0
"""How long the lines of the next run of a series wait for the last maps of this one; they lose nothing by it."""
_POLL_S = 0.02
_MANY_ENTRIES = 1000
"""Entries at once that are the middle of a long journal, not its end."""


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
        If the feed's port is taken, or a GPU is wanted and there is none.
    """
    model = make_pattern_model(profile)
    store = MemoryStore()
    device = choose_device(profile.compute.device)
    worker = RefineWorker.of_profile(profile, out / "lines", kernel_on(device)) if profile.refinement.enabled else None
    analysis = Analysis(
        profile,
        model,
        out=out,
        store=store,
        clock=time.monotonic,
        wall_clock=time.time,
        refiner=worker,
        make_volume=voxels_on(device),
    )
    addresses = profile.addresses
    regions = RegionAnswerer(profile, model, lines_folder=out / "lines", ingredients_of=analysis.tomograms)
    judge = Judge(regions)
    analysis.judge = judge
    with (
        worker or nullcontext(),
        FeedServer(store, addresses.results),
        AnswerServer(addresses.questions, judge) as questions,
        FeedClient(addresses.journal) as journal,
        FeedClient(addresses.reduction) as reduction,
    ):
        analysis.forward.offer(questions=questions.address)
        logger.info("analysing", journal=addresses.journal, reduction=addresses.reduction)
        ready()
        watch = SilenceWatch(lambda text, is_bad: analysis.forward.notice(text, level="error" if is_bad else "info"))
        while not stop.is_set():
            patience_s = 0.0 if analysis.is_behind else _POLL_S
            heard = [*journal.poll(patience_s), *reduction.poll(patience_s)]
            # Asked before the work begins: what the analysis takes for itself, at the end of a run, is nobody's silence.
            watch.look({"acquire": journal.state.silent_s, "reduce": reduction.state.silent_s})
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
    refiner
        Refines the full profile; None leaves it out.
    make_volume
        Gives the voxels of maps on another device; None keeps them with the processor.
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
        refiner: Refiner | None = None,
        make_volume: MakeVolume | None = None,
    ) -> None:
        self._profile, self._model, self._out, self._store = profile, model, out, store
        self._clock, self._wall_clock, self._make_volume = clock, wall_clock, make_volume
        self.tomograms = KnownTomograms(profile, out)
        """What can be asked about regions."""
        self.forward = Forwarder(store, wall_clock=wall_clock)
        """What passes by the analysis on its way to viewers."""
        self.judge: Judge | None = None
        """Is told of each result, for plans that steer by it."""
        self._known: dict[str, RunStarted] = {}
        self._run: RunStarted | None = None
        self._tomogram: Tomogram | PlainRun | None = None
        self._shelf = LineShelf("", out / "lines")
        self._state = RunState(clock=clock)
        self._pending: dict[LineKey, None] = {}
        self._written: dict[LineKey, LineWritten] = {}
        self._aborted: set[LineKey] = set()
        self._revision = 0
        self._shown_state = ""
        self._told: set[str] = set()
        self._is_dirty = False
        self._published_at = float("-inf")
        self._archivist = Archivist(
            out,
            profile=profile,
            model=model,
            complain=lambda text: self.forward.notice(text, level="error"),
            clock=clock,
            provenance=provenance,
        )
        self._refinement = LiveRefinement(
            refiner,
            interval_s=profile.refinement.interval_s,
            clock=clock,
            phases_changed_s=lambda: PhaseList(profile, out / PHASES_FILE).changed_s,
        )

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
            case ScanState():
                self._state.hear(message)
                self.forward.pass_on(message, arrays)
            case _:
                self.forward.pass_on(message, arrays)

    @property
    def is_behind(self) -> bool:
        """Whether lines of the current run are waiting."""
        return self._next() is not None

    def work(self) -> None:
        """Take up one line that is waiting, and publish what is due."""
        if self._run is None:
            return
        if self._tomogram is None:
            self._open(self._run)
        if (key := self._next()) is not None:
            del self._pending[key]
            self._take_up(key)
        self._refine()
        is_due = self._clock() - self._published_at >= PUBLISH_INTERVAL_S
        if (self._is_dirty and is_due) or self._archivist.is_owed or self._state_in_a_word != self._shown_state:
            self._publish()

    def finish(self) -> None:
        """Take up all that is waiting and publish it."""
        while self.is_behind:
            self.work()
        if self._is_dirty:
            self._publish()

    def _next(self) -> LineKey | None:
        """Give a line that waits and belongs to the run that is on."""
        if self._run is None:
            return None
        runs = self._shelf.runs if self._tomogram is not None else (self._run.run,)
        return next((key for key in self._pending if key.run in runs), None)

    def _start(self, run: RunStarted) -> None:
        if run == self._run:
            return
        self._conclude()
        self._run, self._tomogram = run, None
        self._state = RunState(clock=self._clock)
        self._known[run.run] = run
        self._shown_state = ""
        self._told = set()
        self._refinement.begin(run)
        self.forward.begin(run)

    def _conclude(self) -> None:
        """Wait a little for the last refinement of a run when the next of a series begins, and publish how it ended."""
        if self._tomogram is None or not self._is_over:
            return
        for _ in range(round(SERIES_PATIENCE_S / _POLL_S)):
            self._refine()
            if not self._refinement.is_owed:
                break
            time.sleep(_POLL_S)
        self._refinement.give_up()
        if self._is_dirty or self._state_in_a_word != self._shown_state:
            self._publish()

    def _hear_of_run(self, run: str, message: Message) -> None:
        if self._run is None or run != self._run.run:
            return
        self._state.hear(message)
        if isinstance(message, LineAborted) and self._tomogram is not None:
            try:
                self._tomogram.abort(line=message.line, attempt=message.attempt)
            except (DataError, OSError) as wrong:
                self.forward.notice(f"line {message.line}, attempt {message.attempt} still weighs the maps: {wrong}")
            self._is_dirty = True

    def _open(self, run: RunStarted) -> None:
        """Begin a run, with the lines that are already there."""
        (_, *continues), left_out = own_runs(run, self._known)
        self._shelf = LineShelf(run.run, self._out / "lines", continues=continues)
        if makes_maps(run):
            self._archivist.set_aside(run)
            self._tomogram = self._new_tomogram(run)
        else:
            self._tomogram = PlainRun(run)
        for key in self._aborted:
            if key.run in self._shelf.runs:
                self._tomogram.abort(line=key.line, attempt=key.attempt)
        found = self._shelf.scan()
        self._pending = {**dict.fromkeys(found), **self._pending}
        if left_out:
            self.forward.notice(left_out)
        logger.info("run opened", run=run.run, lines=len(run.angles_deg), found=len(found), continues=continues)

    def _new_tomogram(self, run: RunStarted) -> Tomogram:
        common: dict[str, Any] = {"profile": self._profile, "model": self._model, "run": run, "make_volume": self._make_volume}
        if is_flown_by_turns(run):
            return TurnedTomogram(**common, shelf=self._shelf, lines_folder=self._out / "lines")
        if is_denser(run):
            return DensifiedTomogram(**common, shelf=self._shelf, lines_folder=self._out / "lines")
        return Tomogram(**common, read_again=self._shelf)

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
            self.forward.notice(f"line {key.line}, attempt {key.attempt} is not in the maps: {wrong}")
        for lost in self._tomogram.take_lost() if isinstance(self._tomogram, Tomogram) else ():
            self.forward.notice(f"line {lost.key.line}, attempt {lost.key.attempt} is no longer in the maps: {lost.reason}")
        self._state.take_up(line=key.line, attempt=key.attempt)
        self._is_dirty = True

    def _is_news(self, key: LineKey, written: LineWritten | None) -> bool:
        """Tell whether a line's file holds other points than were taken up: images that came late are added to it."""
        if self._tomogram is None or written is None:
            return False
        return written.n_received != self._tomogram.n_received(key)

    @property
    def _state_in_a_word(self) -> State:
        return "scanning" if self.is_behind or (self._is_over and self._refinement.is_owed) else self._state.state

    @property
    def _is_over(self) -> bool:
        """Whether no more lines of the run will come."""
        return not self.is_behind and self._state.state not in UNDER_WAY

    def _refine(self) -> None:
        """Have the whole run refined when it is over, and take what came of earlier refinements."""
        is_news = self._state_in_a_word != self._shown_state or self._refinement.has_other_phases
        if self._is_over and is_news and self._tomogram is not None:
            self._refinement.offer(self._tomogram, is_last=True)
        if self._refinement.take():
            self._is_dirty = True
        for text in self._refinement.new_sentences(self._told):
            self.forward.notice(text)

    def _publish(self) -> None:
        if self._run is None or self._tomogram is None:
            return
        state = self._state_in_a_word
        is_ending = state not in UNDER_WAY and state != self._shown_state
        if is_ending and self._state.missing:
            missing = self._state.missing[:20]
            self.forward.notice(f"the run is over, but these lines (line, attempt) never came: {missing}")
        if isinstance(self._tomogram, Tomogram):
            records = self._publish_maps(self._run, self._tomogram, state=state, is_ending=is_ending)
        else:
            records = self._tomogram.records
            if is_ending:
                self._say_findings(self._run, records)
            publish_plain(
                self._store, self._tomogram, run=self._run, model=self._model, is_ending=is_ending, time_s=self._wall_clock()
            )
            self._publish_refined(self._run)
            if state in UNDER_WAY:
                self._refinement.offer(self._tomogram, is_last=False)
        archive = str(self._archivist.path) if isinstance(self._tomogram, Tomogram) else ""
        attempts = self._tomogram.n_attempts
        publish_progress(
            self._store, records, run=self._run, state=state, attempts=attempts, archive=archive, time_s=self._wall_clock()
        )
        self._shown_state, self._is_dirty, self._published_at = state, False, self._clock()

    def _say_findings(self, run: RunStarted, records: Sequence[LineRecord]) -> None:
        """Say what a run that sets the beamline up has found."""
        try:
            found = findings(self._profile, run, [self._shelf(record.key) for record in records])
        except (DataError, OSError) as wrong:
            found = [("error", f"the lines of {run.plan} cannot be read again: {wrong}")]
        for level, text in found:
            self.forward.notice(text, level=level)

    def _publish_maps(self, run: RunStarted, tomogram: Tomogram, *, state: State, is_ending: bool) -> list[LineRecord]:
        """Publish and archive what is known of a tomogram, and give the records of the lines in it."""
        result = tomogram.result()
        if result is None:
            return []
        if is_ending and (remark := remark_on_centre(run, result)):
            text, level = remark
            self.forward.notice(text, level=level)
        for text in new_faults(run, result, self._told):
            self.forward.notice(text)
        self._revision += 1
        self.tomograms.hand_over(result.ingredients)
        if self.judge is not None:
            self.judge.note(run.run, result, n_lines_expected=len(run.angles_deg))
        publish_result(
            self._store,
            result,
            run=run,
            model=self._model,
            revision=self._revision,
            latest_cell=self.forward.latest_cell,
            time_s=self._wall_clock(),
        )
        self._publish_refined(run)
        if state in UNDER_WAY:
            self._refinement.offer(tomogram, result=result, is_last=False)
        self._archivist.write(
            result,
            run=run,
            shelf=self._shelf,
            state=state,
            readings=self.forward.cell.readings,
            refined=self._refinement.newest,
        )
        return result.records

    def _publish_refined(self, run: RunStarted) -> None:
        if (refined := self._refinement.take_unpublished()) is not None:
            publish_refined(
                self._store,
                refined,
                run=run,
                revision=self._revision,
                latest_cell=self.forward.latest_cell,
                time_s=self._wall_clock(),
            )
