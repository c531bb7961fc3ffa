import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from caproto import ErrorResponseReceived
from caproto.sync.client import read, write

from acquisition.cell.bridge import serve, serve_source
from acquisition.cell.neware import read_neware
from acquisition.cell.recording import Recording, Replay
from acquisition.cell.source import CellSource
from acquisition.channel_access_server import serve_pvs
from operando.errors import ServiceError
from operando.messages import CellReading
from operando.profile import read_profile

pytestmark = pytest.mark.ioc


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        number = int(taken.getsockname()[1])
    for name, value in {"ADDR_LIST": "127.0.0.1", "AUTO_ADDR_LIST": "NO", "SERVER_PORT": str(number)}.items():
        monkeypatch.setenv(f"EPICS_CA_{name}", value)
    return number


@contextmanager
def serving(source: CellSource, *, port: int, clock: Callable[[], float]) -> Iterator[None]:
    ready, stop = threading.Event(), threading.Event()
    work = serve_source(source, prefix="T:CELL", port=port, ready=ready.set, stop=stop, clock=clock)
    thread = threading.Thread(target=asyncio.run, args=(work,))
    thread.start()
    try:
        assert ready.wait(60)
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def pv(name: str) -> object:
    value = read(f"T:CELL:{name}", timeout=20, repeater=False).data[0]
    return value.decode() if isinstance(value, bytes) else value


@pytest.fixture(scope="module")
def m50t(data_folder: Path) -> Recording:
    return read_neware(data_folder / "NewareNDA/TESTCELL0001-B2-2025-M50T_NewareNDA_Investigation.ndax")


def test_pvs_equal_the_rows_of_the_real_file_at_the_mapped_times(m50t: Recording, port: int) -> None:
    now = [0.0]
    replay = Replay(m50t, speed=60.0, start_s=9900.0, origin_s=1.7e9)
    with serving(replay, port=port, clock=lambda: now[0]):
        for elapsed_s in (0.0, 33.35, 500.0):
            now[0] = 1.7e9 + elapsed_s
            row = int(np.flatnonzero(m50t.time_s <= 9900.0 + 60 * elapsed_s + 1e-6)[-1])
            wanted: dict[str, object] = {
                "TIME": pytest.approx(1.7e9 + (m50t.time_s[row] - 9900.0) / 60, abs=1e-4),
                "VOLTAGE": m50t.voltage_v[row],
                "CURRENT": m50t.current_a[row],
                "CHARGE": m50t.charge_ah[row],
                "TEMPERATURE": m50t.temperature_c[row],  # type: ignore[index]
                "STEP": m50t.step[row],
                "CYCLE": m50t.cycle[row],
                "SOURCE": m50t.name[:39],
            }
            deadline = time.monotonic() + 30
            # The variables of one reading come one after the other.
            while (found := {name: pv(name) for name in wanted}) != wanted and time.monotonic() < deadline:
                time.sleep(0.05)
            assert found == wanted


class SilentSource:
    """A source whose cycler fell silent a minute ago and that knows little."""

    def reading_at(self, time_s: float) -> CellReading:
        return CellReading(time_s=time_s - 60, voltage_v=3.5, current_a=None, age_s=60.0)


def test_absent_values_are_nan_while_heartbeat_goes_on_and_age_tells(port: int) -> None:
    with serving(SilentSource(), port=port, clock=lambda: 1.7e9):
        assert np.isnan(pv("CURRENT"))  # type: ignore[call-overload]
        assert (pv("VOLTAGE"), pv("AGE"), pv("CYCLE")) == (3.5, 60.0, -1)
        first, deadline = pv("HEARTBEAT"), time.monotonic() + 30
        while not pv("HEARTBEAT") > first:  # type: ignore[operator]
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_nobody_writes_the_cell_over_channel_access(port: int) -> None:
    with serving(SilentSource(), port=port, clock=lambda: 1.7e9):
        with pytest.raises(ErrorResponseReceived):
            write("T:CELL:VOLTAGE", 9.0, notify=True, timeout=20, repeater=False)
        assert pv("VOLTAGE") == 3.5


def test_port_in_use_is_one_sentence_and_not_ready(port: int, tmp_path: Path) -> None:
    profile = read_profile("demo")
    cell = profile.cell.model_copy(update={"source": "model:cccv"})
    control = profile.control.model_copy(update={"channel_access_port": port - 1})
    profile = profile.model_copy(update={"cell": cell, "control": control})
    ready = threading.Event()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(ServiceError, match=rf"port {port} .*taken"):
            serve(profile, out=tmp_path, ready=ready.set, stop=threading.Event())
    assert not ready.is_set()


def test_a_server_ends_although_its_work_loses_a_cancellation(port: int) -> None:
    ready, stop = threading.Event(), threading.Event()
    heard: list[str] = []

    async def deaf() -> None:
        for word in ("lost", "heard"):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                heard.append(word)

    thread = threading.Thread(
        target=asyncio.run, args=(serve_pvs({}, port=port, work=deaf(), ready=ready.set, stop=stop),), daemon=True
    )
    thread.start()
    assert ready.wait(60)
    stop.set()
    thread.join(60)
    assert not thread.is_alive()
    assert heard == ["lost", "heard"]
