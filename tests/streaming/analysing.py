"""An analysis that takes up runs as they fly, with their line files and journal, for tests of what comes of several."""

from pathlib import Path
from typing import Any

from operando.bus import MemoryStore
from operando.journal import Journal
from operando.messages import LineWritten, RunStarted, RunStopped
from operando.profile import write_profile
from streaming.analysis import Analysis
from streaming.line import Line
from streaming.line_file import write_line
from tests.streaming.phantom import Phantom


class Beamtime:
    """Analyses runs as they fly."""

    def __init__(self, phantom: Phantom, out: Path) -> None:
        out.mkdir(exist_ok=True)
        write_profile(phantom.profile, out / "profile.toml")
        self.out, self.store, self.journal = out, MemoryStore(), Journal(out / "journal.jsonl")
        self.analysis = Analysis(
            phantom.profile,
            phantom.model,
            out=out,
            store=self.store,
            clock=iter(range(10**6)).__next__,
            wall_clock=lambda: 5e3,
        )

    def hear(self, message: Any) -> None:
        if not isinstance(message, LineWritten):
            self.journal.append(message)
        self.analysis.hear(message, {})
        self.analysis.work()

    def take(self, line: Line) -> None:
        path = write_line(line, self.out / "lines")
        self.hear(
            LineWritten(
                run=line.key.run,
                line=line.key.line,
                attempt=line.key.attempt,
                path=str(path),
                n_points=line.is_received.size,
                n_received=int(line.is_received.sum()),
                missing_ids=[],
                series=line.series,
                last_frame_s=line.end_s,
                time_s=line.end_s,
            )
        )

    def fly(self, run: RunStarted, lines: list[Line]) -> None:
        self.hear(run)
        for line in lines:
            self.take(line)
        self.hear(RunStopped(run=run.run, exit_status="success", time_s=run.time_s + 500))
        self.analysis.finish()

    def of(self, kind: type[Any]) -> list[Any]:
        return [one.message for one in self.store.since(0, limit=100_000) if isinstance(one.message, kind)]
