from acquisition.cell.history import CellHistory
from acquisition.cell.recorder import REPEAT_S, CellRecorder
from operando.bus.store import MemoryStore
from operando.messages import CellReading


class TornCell:
    """Gives the readings of a list, one at each look."""

    def __init__(self, *looks: CellReading | None) -> None:
        self.looks = list(looks)

    def reading(self) -> CellReading | None:
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def reading(time_s: float, voltage_v: float, age_s: float = 0.0) -> CellReading:
    return CellReading(time_s=time_s, voltage_v=voltage_v, current_a=1.0, age_s=age_s)


def recorder(cell: TornCell, journal: MemoryStore, now: list[float]) -> CellRecorder:
    return CellRecorder(cell, journal=journal, history=CellHistory(), clock=lambda: now[0], pause=lambda _: None)


def voltages(journal: MemoryStore) -> list[float | None]:
    return [entry.message.voltage_v for entry in journal.since(0, limit=100)]  # type: ignore[attr-defined]


def test_reading_is_kept_only_when_its_values_stand_still() -> None:
    journal = MemoryStore()
    torn = reading(1.0, 3.9)
    recorder(TornCell(torn, reading(2.0, 4.0), reading(2.0, 4.0), reading(2.0, 4.0)), journal, [0.0]).record()
    assert voltages(journal) == [4.0]


def test_unchanged_reading_is_written_again_only_now_and_then_with_its_age() -> None:
    journal, now = MemoryStore(), [100.0]
    cell = TornCell(reading(1.0, 3.9))
    recording = recorder(cell, journal, now)
    for elapsed_s in (0.0, 1.0, 2.0, REPEAT_S + 0.1):
        now[0] = 100.0 + elapsed_s
        cell.looks = [reading(1.0, 3.9, age_s=elapsed_s)]
        recording.record()
    assert [entry.message.age_s for entry in journal.since(0, limit=9)] == [0.0, REPEAT_S + 0.1]  # type: ignore[attr-defined]


def test_cell_that_was_never_read_writes_nothing() -> None:
    journal = MemoryStore()
    recorder(TornCell(None), journal, [0.0]).record()
    assert journal.head == 0
