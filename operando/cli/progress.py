"""The progress of a run in a terminal, or as a line now and then where there is no terminal."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from operando.messages import Notice, ScanProgress

_PLAIN_EVERY_S = 10.0


class RunProgress:
    """Shows lines done, frames and time left until the end of a ``with`` block."""

    def __init__(self) -> None:
        self.console = Console(file=sys.stderr)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("lines  {task.fields[detail]}"),
            TimeElapsedColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task = self._progress.add_task("starting", total=None, detail="")
        self._spoke_at = 0.0
        self._said = ""

    def step(self, text: str) -> None:
        """Say what happens now."""
        self._progress.update(self._task, description=text)
        if not self.console.is_terminal:
            self._print(text)

    def show(self, progress: ScanProgress) -> None:
        """Show how far the run is."""
        detail = f"{progress.frames_received} of {progress.frames_expected} frames, {progress.frames_missing} missing"
        if progress.seconds_left is not None:
            detail += f", {progress.seconds_left:.0f} s left"
        self._progress.update(
            self._task,
            description=progress.state,
            completed=progress.lines_done,
            total=progress.lines_expected or None,
            detail=detail,
        )
        is_news = progress.state in ("finished", "paused", "suspended") and progress.state != self._said
        self._said = progress.state
        is_news = is_news or time.monotonic() - self._spoke_at > _PLAIN_EVERY_S
        if not self.console.is_terminal and is_news:
            self._spoke_at = time.monotonic()
            lines = f"{progress.lines_done} of {progress.lines_expected} lines"
            self._print(f"{progress.state}: {lines}, {detail}")

    def notice(self, notice: Notice) -> None:
        """Show a sentence from one of the processes."""
        self._print(f"{notice.level}: {notice.origin}: {notice.text}")

    def warn(self, text: str) -> None:
        """Show a warning of the supervisor."""
        self._print(f"warning: {text}")

    def _print(self, text: str) -> None:
        # Not wrapped: a path in two parts can be neither copied nor found with grep. No markup: [Errno 28] is text.
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    def __enter__(self) -> "RunProgress":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
