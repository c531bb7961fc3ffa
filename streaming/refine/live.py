"""When to refine while a scan runs: receives what the live analysis holds, gives it to a refiner no oftener than is useful.

While lines come, a refinement follows the last one after the profile's interval. When the run is over all its lines are refined
once more, from nothing, and until that is done the run does not count as finished.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from operando.messages import RunStarted
from streaming.maps import WITHDRAWN, Map
from streaming.plain_run import PlainRun
from streaming.refine.job import LEAST_ANGLES, RefinedTomogram
from streaming.refine.remarks import sentences
from streaming.refine.to_refine import RefineJob, job_from_plain, job_from_result
from streaming.refine.worker import Failed, Refiner
from streaming.tomogram import Result, Tomogram

PATIENCE_S = 300.0
"""How long the end of a run waits for its last refinement; what comes later is published all the same."""


class LiveRefinement:
    """Keeps one refiner busy and holds what it gave last; used from the thread of the analysis.

    Parameters
    ----------
    refiner
        Does the work; None leaves it.
    interval_s
        Time between two refinements of one run.
    clock
        Monotonic seconds.
    phases_changed_s
        When somebody last changed which phases are looked for.
    """

    def __init__(
        self,
        refiner: Refiner | None,
        *,
        interval_s: float,
        clock: Callable[[], float],
        phases_changed_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._phases_changed_s = phases_changed_s
        self._refiner, self._interval_s, self._clock = refiner, interval_s, clock
        self._run = ""
        self._offered: object = None
        self._offered_at = float("-inf")
        self._last: object = None
        self._is_unpublished = False
        self._failure = ""
        self._offered_phases = 0.0
        self.newest: RefinedTomogram | None = None
        """The newest refinement of the run."""

    def begin(self, run: RunStarted) -> None:
        """Forget the run before."""
        self._run, self._offered, self._last, self._offered_at = run.run, None, None, float("-inf")
        self.newest, self._is_unpublished, self._failure = None, False, ""

    def offer(self, known: Tomogram | PlainRun, *, is_last: bool, result: Result | None = None) -> None:
        """Refine what is known, if that is due and it holds other lines than the last time.

        ``result`` spares a tomogram from giving its result again.
        """
        if self._refiner is None:
            return
        is_early = self._refiner.is_busy or self._clock() - self._offered_at < self._interval_s
        if is_early and not is_last:
            return
        job = _job(known, result, is_last=is_last)
        if job is None or (job.slice is not None and job.slice.n_angles < LEAST_ANGLES and not is_last):
            return
        changed_s = self._phases_changed_s()
        lines = (
            job.run,
            changed_s,
            job.slice.ingredients.lines if job.slice is not None else tuple(one.time_s for one in job.lines),
        )
        if lines == (self._last if is_last else self._offered):
            return
        self._offered, self._offered_at, self._offered_phases = lines, self._clock(), changed_s
        self._last = lines if is_last else self._last
        self._refiner.submit(job)

    def take(self) -> bool:
        """Take what came of a refinement of the present run; tell whether there was something to publish."""
        done = self._refiner.take() if self._refiner is not None else None
        if done is None or done.job.run != self._run:
            return False
        if isinstance(done, Failed):
            self._failure = f"full profile: {done.reason}"
            return False
        before = [] if self.newest is None else self.newest.maps
        self.newest, self._is_unpublished = replace(done, maps=[*done.maps, *withdrawn(before, done.maps)]), True
        return True

    @property
    def has_other_phases(self) -> bool:
        """Whether somebody changed the phases since the last refinement was begun."""
        return self._refiner is not None and self._phases_changed_s() != self._offered_phases

    def take_unpublished(self) -> RefinedTomogram | None:
        """Give the newest refinement once."""
        is_new, self._is_unpublished = self._is_unpublished, False
        return self.newest if is_new else None

    def new_sentences(self, told: set[str]) -> list[str]:
        """Give what a person should know and was not told yet, and note it in ``told``."""
        said = sentences(self.newest) if self.newest is not None else []
        news = [text for text in [*said, self._failure] if text and text not in told]
        told.update(news)
        return news

    def give_up(self) -> None:
        """Wait no longer for the last refinement of the run."""
        self._last = None

    @property
    def is_owed(self) -> bool:
        """Whether the last refinement of a run is awaited."""
        if self._refiner is None or self._last is None or not self._refiner.is_busy:
            return False
        return self._clock() - self._offered_at < PATIENCE_S


def withdrawn(before: Sequence[Map], now: Sequence[Map]) -> list[Map]:
    """Give the maps that are made no longer as maps of nothing, so that nobody goes on looking at them."""
    names = {one.name for one in now}
    return [
        replace(
            one,
            value=np.full_like(one.value, np.nan),
            sigma=np.full_like(one.sigma, np.nan),
            reason=np.full_like(one.reason, WITHDRAWN),
        )
        for one in before
        if now and one.name not in names
    ]


def _job(known: Tomogram | PlainRun, result: Result | None, *, is_last: bool) -> RefineJob | None:
    if isinstance(known, PlainRun):
        return job_from_plain(known, is_last=is_last)
    result = result or known.result()
    return None if result is None else job_from_result(result, is_last=is_last)
