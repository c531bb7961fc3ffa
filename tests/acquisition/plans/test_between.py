from collections.abc import Callable
from typing import Any

import pytest
from bluesky import RunEngine

from acquisition.plans.between import MAX_BEHIND, Holder, ReductionBacklog
from acquisition.plans.topup import topup_began, wait_past_topup
from operando.bus.client import FeedClient
from operando.bus.server import FeedServer
from operando.bus.store import MemoryStore
from operando.messages import LineAnnounced, LineFlown, LineWritten, Notice, RunStopped
from operando.scan import LineKey


class ScriptedBacklog:
    """Is behind as the script says, one word a look; the last word stands."""

    def __init__(self, *script: int) -> None:
        self.script = list(script)
        self.flown: list[LineKey] = []

    def flew(self, key: LineKey) -> None:
        self.flown.append(key)

    def n_behind(self) -> int:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def n_unknown(self) -> int:
        return 0

    def take_lost(self) -> list[LineWritten]:
        return []


class Loses(ScriptedBacklog):
    """Tells of the attempts (line, attempt) that it lost, each once."""

    def __init__(self, *lost: tuple[int, int]) -> None:
        super().__init__(0)
        self.lost = set(lost)

    def take_lost(self) -> list[LineWritten]:
        told = sorted(self.lost & {(one.line, one.attempt) for one in self.flown})
        self.lost -= {*told}
        return [written(*one, n_points=10, n_received=3) for one in told]


def key(line: int, attempt: int = 0) -> LineKey:
    return LineKey(run="r", line=line, attempt=attempt)


def written(line: int, attempt: int = 0, *, n_points: int = 1, n_received: int = 1) -> LineWritten:
    return LineWritten(
        run="r",
        line=line,
        attempt=attempt,
        path="x",
        n_points=n_points,
        n_received=n_received,
        missing_ids=[],
        series=1,
        last_frame_s=0.0,
        time_s=0.0,
    )


def n_behind(backlog: ReductionBacklog, store: MemoryStore) -> int:
    """Ask until all that reduction has written was heard."""
    for _ in range(1000):
        found = backlog.n_behind()
        if backlog._client.number == store.head:
            break
        backlog._client._socket.poll(10)
    return found


def test_backlog_is_the_lines_after_the_newest_that_is_written() -> None:
    store = MemoryStore()
    with FeedServer(store, "tcp://127.0.0.1:*") as server, FeedClient(server.address) as client:
        backlog = ReductionBacklog(client)
        for line in range(5):
            backlog.flew(key(line))
        assert backlog.n_behind() == 5
        store.append(written(0))
        assert n_behind(backlog, store) == 4
        # Lines 1 and 2 were lost by a reduction that died: nobody waits for them for ever.
        store.append(written(3))
        assert n_behind(backlog, store) == 1


def test_aborted_attempt_that_is_written_counts_for_nothing() -> None:
    store = MemoryStore()
    with FeedServer(store, "tcp://127.0.0.1:*") as server, FeedClient(server.address) as client:
        backlog = ReductionBacklog(client)
        backlog.flew(key(0, attempt=1))
        store.append(written(0, attempt=0))
        store.append(written(7, attempt=1))
        assert n_behind(backlog, store) == 1


def test_scan_holds_with_closed_shutter_until_reduction_has_followed(
    engine: RunEngine, small_beamline: Callable[[], Any]
) -> None:
    beamline = small_beamline()
    shutter = beamline.devices.shutter
    shutter_while_behind: list[int] = []

    class Behind(ScriptedBacklog):
        def n_behind(self) -> int:
            n_behind = super().n_behind()
            if beamline.messages(LineFlown) and n_behind > MAX_BEHIND:
                shutter_while_behind.append(shutter.status.get())
            return n_behind

    engine(beamline.plan(backlog=Behind(0, 3, 3, 3, 3, 2)), beamline.announcer.document)
    assert shutter_while_behind[1:] == [0, 0, 0]
    assert len(beamline.messages(LineFlown)) == 2
    assert beamline.messages(Notice) == []


def test_every_flown_line_is_told_to_the_backlog(engine: RunEngine, small_beamline: Callable[[], Any]) -> None:
    beamline = small_beamline()
    backlog = ScriptedBacklog(0)
    engine(beamline.plan(backlog=backlog), beamline.announcer.document)
    assert [(one.line, one.attempt) for one in backlog.flown] == [(0, 0), (1, 0)]


def flights(beamline: Any) -> list[tuple[int, int, int, int]]:
    return [(one.line, one.attempt, one.series, one.first_image_id) for one in beamline.messages(LineAnnounced)]


def test_lines_that_reduction_lost_fly_again_at_once(engine: RunEngine, beamline: Any) -> None:
    engine(beamline.plan(backlog=Loses((0, 0), (2, 0))), beamline.announcer.document)
    # The first series was armed for three lines: what comes on top needs another.
    assert flights(beamline) == [(0, 0, 101, 0), (0, 1, 101, 5), (1, 0, 101, 10), (2, 0, 102, 0), (2, 1, 103, 0)]
    assert len(beamline.messages(LineFlown)) == 5
    assert [one.text for one in beamline.messages(Notice)] == [
        f"line {line}: reduction has 3 of 10 images: it flies again" for line in (0, 2)
    ]


def test_reduction_that_loses_everything_is_not_flown_for_without_end(engine: RunEngine, beamline: Any) -> None:
    engine(beamline.plan(backlog=Loses(*((line, n) for line in range(3) for n in range(9)))), beamline.announcer.document)
    assert len(beamline.messages(LineFlown)) == 5
    assert "no more lines fly again" in beamline.messages(Notice)[-1].text
    assert beamline.messages(RunStopped)[0].exit_status == "success"


def test_backlog_tells_each_loss_once_and_none_that_was_made_good() -> None:
    store = MemoryStore()
    with FeedServer(store, "tcp://127.0.0.1:*") as server, FeedClient(server.address) as client:
        backlog = ReductionBacklog(client)
        for line in range(4):
            backlog.flew(key(line))
        for line, n_received in ((0, 10), (1, 8), (2, 9), (3, 0), (3, 10)):
            store.append(written(line, n_points=10, n_received=n_received))
        n_behind(backlog, store)
        assert backlog.n_unknown() == 0
        assert [one.line for one in backlog.take_lost()] == [1]
        # A reduction that comes back tells of all lines that are on disk once more.
        store.append(written(1, n_points=10, n_received=8))
        n_behind(backlog, store)
        assert backlog.take_lost() == []


def test_patience_with_a_silent_reduction_ends_and_is_told_once(engine: RunEngine) -> None:
    notices: list[str] = []
    now = [0.0]

    def clock() -> float:
        now[0] += 10.0
        return now[0]

    backlog = ScriptedBacklog(9)
    holder = Holder(backlog, notify=notices.append, at_most_s=30.0, clock=clock)
    engine(holder.hold())
    engine(holder.hold())
    assert len(notices) == 1
    assert "9 lines behind for 30 s: the scan goes on" in notices[0]
    backlog.script = [0]
    assert not holder.must_hold()
    assert "caught up" in notices[1]
    backlog.script = [9]
    assert holder.must_hold()


@pytest.mark.parametrize(("countdown_s", "n_waits"), [(600.0, 0), (1.0, 2)])
def test_line_does_not_start_when_the_topup_would_fall_into_it(engine: RunEngine, countdown_s: float, n_waits: int) -> None:
    from ophyd import Signal

    countdown = Signal(name="countdown", value=countdown_s)
    notices: list[str] = []
    n_sleeps = 0

    def hook(message: Any) -> None:
        nonlocal n_sleeps
        n_sleeps += message.command == "sleep"
        if n_sleeps == 2:
            countdown.put(300.0)

    engine.msg_hook = hook
    engine(wait_past_topup(countdown, need_s=2.0, notify=notices.append))
    engine.msg_hook = None
    assert n_sleeps == n_waits
    assert len(notices) == min(n_waits, 1)


@pytest.mark.parametrize(
    ("left_s", "now_s", "elapsed_s", "began"),
    [
        (600.0, 598.0, 2.0, False),
        (1.0, 0.0, 2.0, True),
        # It has ended again, or the variable lags behind.
        (1.0, 599.0, 2.0, True),
        (2.1, 0.0, 2.0, True),
        # It began before the line, or there is none.
        (0.0, 0.0, 2.0, False),
        (-1.0, -1.0, 2.0, False),
    ],
)
def test_line_in_which_a_topup_began_is_known(left_s: float, now_s: float, elapsed_s: float, began: bool) -> None:
    assert topup_began(left_s=left_s, now_s=now_s, elapsed_s=elapsed_s) is began
