"""How often plots are drawn, by a clock that a test turns."""

import itertools

import pytest

from viewer.pace import PLOT_S, SLOWEST_S, Pace
from viewer.painter import AT_ONCE, Painter
from viewer.session import Session

TICK_S = 0.05


def drawn_times(*, cost_s: float, for_s: float = 20.0) -> list[float]:
    """When a window would draw whose plots cost so much: the next tick comes when that has been paid."""
    now_s, drawn = 0.0, []
    pace = Pace(lambda: now_s)
    while now_s < for_s:
        is_due = pace.is_due()
        if is_due:
            drawn.append(now_s)
        now_s += TICK_S + (cost_s if is_due else 0.0)
    return drawn


@pytest.mark.parametrize("cost_s", [0.0, 0.005, 0.05, 0.2, 0.5, 3.0])
def test_plots_take_a_third_of_the_time_at_most_and_never_rest_for_long(cost_s):
    drawn = drawn_times(cost_s=cost_s)
    rests = [late - early for early, late in itertools.pairwise(drawn)]
    assert len(drawn) > 3
    assert min(rests) >= PLOT_S - 1e-9
    assert max(rests) <= cost_s + SLOWEST_S + 2 * TICK_S
    if cost_s <= SLOWEST_S / 4:
        assert cost_s * len(drawn) <= 20.0 / 3


def test_cheap_plots_are_drawn_four_times_a_second():
    assert 70 <= len(drawn_times(cost_s=0.0)) <= 80


def test_a_hurried_window_draws_at_the_next_tick_whatever_it_costs():
    now_s = [0.0]
    pace = Pace(lambda: now_s[0])
    assert pace.is_due()
    now_s[0] += 5.0
    pace.is_due()
    now_s[0] += 0.01
    assert not pace.is_due()
    pace.hurry()
    assert pace.is_due()


class FakePanel:
    """Counts its drawings; it can be seen."""

    def __init__(self, name: str, topics: tuple[str, ...]) -> None:
        self.name, self.topics, self.n_drawn = name, topics, 0

    def visibleRegion(self) -> "FakePanel":  # noqa: N802 - Qt's name
        return self

    def isEmpty(self) -> bool:  # noqa: N802 - Qt's name
        return False

    def show_session(self, session: Session) -> None:
        self.n_drawn += 1


class FakeHeader:
    """Hears of no fault."""

    def note_fault(self, panel: str, fault: str | None) -> None:
        assert fault is None


def test_what_the_data_change_is_drawn_once_a_second_by_turns_and_what_the_user_does_at_once():
    now_s, session = [0.0], Session()
    panels = [FakePanel(f"panel {k}", ("maps", "scan")) for k in range(2 * AT_ONCE)]
    painter = Painter(session, FakeHeader(), panels, lambda: now_s[0])  # type: ignore[arg-type]

    def drawn_in(seconds: float) -> list[int]:
        before, end_s = [panel.n_drawn for panel in panels], now_s[0] + seconds
        while now_s[0] < end_s:
            session.changes["maps"] += 1
            painter.draw_panels()
            now_s[0] += TICK_S
        return [panel.n_drawn - n for panel, n in zip(panels, before, strict=True)]

    assert drawn_in(TICK_S) == [1] * len(panels), "what has never been drawn is"
    counts = drawn_in(20.0)
    assert min(counts) >= 12
    assert max(counts) <= 20
    session.changes["scan"] += 1
    assert drawn_in(PLOT_S + TICK_S) == [1] * len(panels)
