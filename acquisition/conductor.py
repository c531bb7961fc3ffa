"""Runs plans one at a time, and holds, resumes and ends them as persons and interlocks wish.

A pause keeps the RunEngine paused, axes stopped and shutter closed, for as long as nobody resumes. Wishes may come from any
thread and are remembered until the RunEngine has obeyed: it refuses some in the middle of its own transitions.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import structlog

from acquisition.refusals import refusals
from operando.messages.commands import Action, ScanState, State

if TYPE_CHECKING:
    # At run time it comes after the devices: importing bluesky is for who flies.
    from bluesky import RunEngine

logger = structlog.get_logger(__name__)

WATCH_S = 0.1
"""How often wishes are tried again and the state is looked at: less than anyone who presses a button notices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a plan ended that did not fail."""

    exit_status: Literal["success", "abort"]
    reason: str = ""


class Conductor:
    """Holds a RunEngine; :meth:`fly` is called from one thread, all else from any.

    Parameters
    ----------
    engine
        Runs the plans. It must not handle signals itself.
    tell
        Called with the state at every change, from any thread.
    forbids
        Says why nothing may fly now, for instance a cell beyond its limits; empty if all may.
    clock
        Seconds since the Unix epoch.
    """

    def __init__(
        self,
        engine: "RunEngine",
        *,
        tell: Callable[[ScanState], object],
        forbids: Callable[[], str] = lambda: "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._tell = tell
        self._forbids = forbids
        self._clock = clock
        self._changed = threading.Condition()
        self._is_flying = False
        self._is_expected = False
        self._is_going_on = False
        self._decision: Literal["", "resume", "abort"] = ""
        self._must_pause: Literal["", "now", "after_line"] = ""
        self._abort_reason = ""
        self._end_reason = ""
        self._reason = ""
        self._told: tuple[State, str, str] = ("idle", "", "")
        self.plan = ""
        """The plan that flies, or flew last."""

    @property
    def state(self) -> State:
        """How the acquisition stands now."""
        if not self._is_flying:
            return "starting" if self._is_expected else "idle"
        engine_state = str(self._engine.state)
        if self._abort_reason:
            return "ending"
        if engine_state == "paused" and not self._is_going_on:
            return "paused"
        if self._must_pause or engine_state == "pausing":
            return "pausing"
        if engine_state == "idle":
            return "starting"
        if self._missing():
            return "suspended"
        return "ending" if self._end_reason else "running"

    @property
    def reason(self) -> str:
        """Why it is in this state; empty while all goes its way."""
        state = self.state
        if state == "suspended":
            return "; ".join(self._missing())
        if state in ("running", "starting"):
            return ""
        return self._abort_reason or self._reason

    def end_wish(self) -> str:
        """Say why the plan shall end before its next line; empty if it shall go on. Asked by plans."""
        return self._end_reason

    def refusals(self) -> dict[Action, str]:
        """Say why each action would be refused now; an action that is not named would be taken."""
        return refusals(
            self.state,
            plan=self.plan,
            is_flying=self._is_flying,
            forbidden=self._forbids(),
            abort_reason=self._abort_reason,
            ends_after_line=bool(self._end_reason),
            pauses_after_line=self._must_pause == "after_line",
        )

    def expect(self, plan: str) -> str:
        """Keep the place for a plan that is about to :meth:`fly`; gives why it must not, empty if it may."""
        with self._changed:
            refusal = self.refusals().get("start", "")
            if not refusal:
                self.plan, self._is_expected = plan, True
        self._say()
        return refusal

    def command(self, action: Action, *, by: str) -> str:
        """Take an action that is not refused, and say what will happen; the empty text says that it was refused."""
        with self._changed:
            if action in self.refusals():
                return ""
            # A pause that is resumed at once was one all the same.
            self._say()
            text = self._take(action, by or "somebody")
            self._changed.notify_all()
        self._look()
        return text

    def pause(self, reason: str) -> None:
        """Pause now, for a reason that is not a person's; does nothing where nothing flies or all is paused."""
        with self._changed:
            if self._is_flying and not self._abort_reason and self.state != "paused":
                self._reason, self._must_pause = reason, "now"
        self._look()

    def abort(self, reason: str) -> None:
        """Abort what flies, paused or not; does nothing where nothing flies."""
        with self._changed:
            if self._is_flying and not self._abort_reason:
                self._abort(reason)
                self._changed.notify_all()
        self._look()

    def fly(self, plan: Any, *, name: str, on_document: Callable[..., Any]) -> Ending:
        """Run a plan to its end, through all pauses.

        Raises
        ------
        Exception
            Whatever the plan fails with.
        """
        from bluesky.utils import RunEngineInterrupted

        with self._flight(name):
            step: Callable[[], Any] = partial(self._engine, plan, on_document)
            while True:
                with contextlib.suppress(RunEngineInterrupted):
                    step()
                if self._engine.state != "paused":
                    return Ending(exit_status="success", reason=self._end_reason)
                if self._await_decision() == "abort":
                    # Only here, where the plan stands still: two threads that wake a RunEngine up break it.
                    self._engine.abort(self._abort_reason)
                    return Ending(exit_status="abort", reason=self._abort_reason)
                self._wait_again_for_what_is_missing()
                step = self._engine.resume

    @contextmanager
    def _flight(self, name: str) -> Iterator[None]:
        with self._changed:
            self.plan, self._is_flying, self._is_expected = name, True, False
            self._abort_reason = self._end_reason = self._reason = ""
            self._decision, self._must_pause = "", ""
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(over,), name="conductor", daemon=True)
        watcher.start()
        try:
            yield
        except Exception as failure:
            self._end_reason = str(failure)
            raise
        finally:
            over.set()
            watcher.join()
            with self._changed:
                self._is_flying = False
                self._reason = self._end_reason
            self._say()

    def _take(self, action: Action, by: str) -> str:
        wished = f"wished by {by}"
        match action:
            case "pause_now":
                self._reason, self._must_pause = wished, "now"
                return "pauses now: axes stop, the shutter closes; the line in flight will fly again"
            case "pause_after_line":
                self._reason, self._must_pause = wished, "after_line"
                return "pauses when the line in flight is over; if it is the last, the scan ends instead"
            case "stop_after_line":
                self._end_reason = f"stopped after a line, {wished}"
                if self.state == "paused":
                    self._go_on()
                return "ends in order before the next line; its run counts as finished, with the lines that it has"
            case "resume":
                self._go_on()
                return "goes on: an interrupted line flies again from its start"
            case "abort":
                self._abort(wished)
                return "aborts: axes stop, the shutter closes; what was measured stays"
            case _:
                return f"{self.state}"

    def _go_on(self) -> None:
        self._decision, self._is_going_on = "resume", True
        self._reason = self._must_pause = ""

    def _abort(self, reason: str) -> None:
        """Wish for an end; a plan that flies is paused first, so that everything stops before its last messages run."""
        self._abort_reason, self._decision, self._must_pause = reason, "abort", "now"

    def _await_decision(self) -> str:
        """Wait, paused, until somebody resumes or aborts."""
        with self._changed:
            if not self._decision:
                self._must_pause, self._is_going_on = "", False
                # A plan pauses by itself where the cell forbids its next line.
                self._reason = self._reason or self._forbids()
                if self._end_reason:
                    self._go_on()
        self._say()
        with self._changed:
            self._changed.wait_for(lambda: bool(self._decision))
            decision, self._decision = self._decision, ""
        return decision

    def _wait_again_for_what_is_missing(self) -> None:
        """Suspend what is about to be resumed if beam or shutter are away: the RunEngine forgets that at a pause (1.15.1)."""
        tripped = [suspender for suspender in self._engine.suspenders if suspender.tripped]
        if not tripped:
            return

        # Not the suspender's own event: asked for at the wrong moment it is one that is never set (bluesky 1.15.1).
        async def until_back() -> None:
            while any(suspender.tripped for suspender in tripped):
                await asyncio.sleep(WATCH_S)

        self._engine.request_suspend(until_back, justification="; ".join(self._missing()))
        # The request must have reached the plan's stack before the RunEngine goes on.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._engine.loop).result()

    def _missing(self) -> list[str]:
        """Say what the scan is suspended for."""
        tripped = [suspender for suspender in self._engine.suspenders if suspender.tripped]
        # Asked in public it makes an event that may never be set.
        texts = [suspender._get_justification() for suspender in tripped]  # noqa: SLF001
        return [" ".join(text.split()) for text in texts if text]

    def _watch(self, over: threading.Event) -> None:
        while not over.wait(WATCH_S):
            self._look()

    def _look(self) -> None:
        """Try again what is wished, and tell if the state has changed."""
        if self._is_flying and self._must_pause and str(self._engine.state) == "running":
            # The plan may end of itself in between: then there is nothing left to pause.
            with contextlib.suppress(RuntimeError, ValueError):
                if self._must_pause == "now":
                    self._engine.request_pause(defer=False)
                elif not self._engine.deferred_pause_requested:
                    self._engine.request_pause(defer=True)
        self._say()

    def _say(self) -> None:
        with self._changed:
            now = (self.state, self.plan, self.reason)
            if now == self._told:
                return
            self._told = now
            state, plan, reason = now
            try:
                self._tell(ScanState(state=state, plan=plan, reason=reason[:4000], time_s=self._clock()))
            except OSError as refused:  # a full disk must not keep a wish from being obeyed
                logger.error("state not told", reason=str(refused))
        logger.info("scan state", state=state, plan=plan, reason=reason)
