"""The refinement beside the live analysis: receives jobs, newest first, works in a thread of its own, gives what came of them.

Nothing that happens here holds up a line: the analysis puts a job down and looks in now and then. A job that nobody wants any
more, because its run is over or the process ends, stops at the next line.
"""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import structlog

from operando.bus import SupersededError
from operando.errors import OperandoError
from operando.profile import Profile
from operando.scan import LineKey
from streaming.pattern_cache import PatternCache
from streaming.refine.fit import Kernel, refine
from streaming.refine.job import RefinedTomogram, Refinery
from streaming.refine.phase_list import FILE, PhaseList
from streaming.refine.to_refine import RefineJob
from streaming.region import Patterns

logger = structlog.get_logger(__name__)

NICENESS = 10
"""Of the thread: a tenth of the processor where others want all of it, all of it where nobody does."""
_STOP_PATIENCE_S = 20.0
"""A voxel batch that is under way is not broken off; at full size it takes so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A refinement that gave nothing."""

    job: RefineJob
    reason: str


class Refiner(Protocol):
    """Refines jobs; called from the thread of the analysis."""

    def submit(self, job: RefineJob) -> None:
        """Take a job in place of one that has not begun."""
        ...

    def take(self) -> RefinedTomogram | Failed | None:
        """Give what came of a job since the last call."""
        ...

    @property
    def is_busy(self) -> bool:
        """Whether a job waits, is under way, or has a result that was not taken."""
        ...


class InlineRefiner:
    """Refines the last job of a run when it is given, for whoever has time: a scan that is processed again."""

    def __init__(self, refinery: Refinery, patterns_of: Callable[[LineKey], Patterns]) -> None:
        self._refinery, self._patterns_of = refinery, patterns_of
        self._done: RefinedTomogram | Failed | None = None

    def submit(self, job: RefineJob) -> None:
        """Refine it if no more lines will come."""
        if not job.is_last:
            return
        self._done = attempt(self._refinery, job, self._patterns_of, is_wanted=lambda: True)

    def take(self) -> RefinedTomogram | Failed | None:
        """Give what came of it."""
        done, self._done = self._done, None
        return done

    @property
    def is_busy(self) -> bool:
        """Whether the result waits."""
        return self._done is not None


class RefineWorker:
    """Refines in a thread; use it as a context.

    Parameters
    ----------
    refinery
        Belongs to the thread from now on.
    patterns_of
        Gives patterns of lines; called from the thread.
    """

    def __init__(self, refinery: Refinery, patterns_of: Callable[[LineKey], Patterns]) -> None:
        self._refinery, self._patterns_of = refinery, patterns_of
        self._changed = threading.Condition()
        self._waiting: RefineJob | None = None
        self._under_way: RefineJob | None = None
        self._done: RefinedTomogram | Failed | None = None
        self._ends = False
        self._thread = threading.Thread(target=self._work, name="refine", daemon=True)

    @classmethod
    def of_profile(cls, profile: Profile, lines_folder: Path, kernel: Kernel = refine) -> "RefineWorker":
        """Make one for the runs of a beamtime, that refines on the device of the kernel.

        Raises
        ------
        OperandoError
            If a structure, a curve or the geometry cannot be read.
        """
        refinery = Refinery(profile, kernel=kernel, phase_list=PhaseList(profile, lines_folder.parent / FILE))
        settings = profile.integration
        return cls(refinery, PatternCache(lines_folder, refinery.q, estimator=settings.estimator, sector=settings.sector))

    def __enter__(self) -> Self:
        """Start the thread."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        """Break off what is under way and end the thread."""
        with self._changed:
            self._ends = True
            self._changed.notify_all()
        self._thread.join(_STOP_PATIENCE_S)

    def submit(self, job: RefineJob) -> None:
        """Take a job in place of one that has not begun."""
        with self._changed:
            self._waiting = job
            self._changed.notify_all()

    def take(self) -> RefinedTomogram | Failed | None:
        """Give what came of a job since the last call."""
        with self._changed:
            done, self._done = self._done, None
        return done

    @property
    def is_busy(self) -> bool:
        """Whether a job waits, is under way, or has a result that was not taken."""
        with self._changed:
            has_work = self._waiting is not None or self._under_way is not None or self._done is not None
        return has_work and (self._thread.is_alive() or self._done is not None)

    def _work(self) -> None:
        _stand_back()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ends or self._waiting is not None)
                if self._ends:
                    return
                job, self._waiting = self._waiting, None
                self._under_way = job
            if job is None:
                continue
            done: RefinedTomogram | Failed | None = Failed(job=job, reason="the refinement has stopped, see the log")
            try:
                done = attempt(self._refinery, job, self._patterns_of, is_wanted=self._is_wanted)
            finally:
                # A fault of our own ends the thread with its traces in the log; whoever waits must hear of it.
                with self._changed:
                    self._under_way, self._done = None, done or self._done

    def _is_wanted(self) -> bool:
        with self._changed:
            waiting, under_way = self._waiting, self._under_way
            is_of_other_run = waiting is not None and under_way is not None and waiting.run != under_way.run
            return not self._ends and not is_of_other_run


def _stand_back() -> None:
    """Let every other thread of the computer go before this one and those that it starts; only Linux knows threads so."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def attempt(
    refinery: Refinery, job: RefineJob, patterns_of: Callable[[LineKey], Patterns], *, is_wanted: Callable[[], bool]
) -> RefinedTomogram | Failed | None:
    """Refine a job; a reason in words if it cannot be, None if nobody wants it any more."""
    try:
        return refinery(job, patterns_of=patterns_of, is_wanted=is_wanted)
    except SupersededError:
        return None
    except (OperandoError, OSError, ValueError, ArithmeticError, MemoryError) as wrong:
        logger.warning("refinement failed", run=job.run, lines=job.n_lines, reason=str(wrong))
        return Failed(job=job, reason=str(wrong) or type(wrong).__name__)
