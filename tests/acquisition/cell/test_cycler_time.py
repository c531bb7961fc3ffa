import pytest

from acquisition.cell.cycler_time import CyclerTime, duration_s

AUTUMN_S = 1792882800.0
"""2026-10-25 03:00 summer time in Berlin, when the clocks go back to 02:00."""


def test_the_hour_that_autumn_repeats_goes_on_instead_of_back() -> None:
    times = CyclerTime(zone="Europe/Berlin")
    written = [f"2026-10-25 02:{minute:02d}:00" for minute in (0, 30, 59)]
    found = [times.epoch_s(times.parse(text)) for text in [*written, *written, "2026-10-25 03:00:00"]]
    # One hour is lived through twice.
    assert [round(time_s - found[0]) / 60 for time_s in found] == [0, 30, 59, 60, 90, 119, 120]
    assert found == sorted(found)


def test_elapsed_seconds_know_no_summer_time() -> None:
    times = CyclerTime(zone="Europe/Berlin")
    start = times.parse("10/24/2026 12:00:00.000")
    assert times.epoch_s(start, elapsed_s=86400.0) - times.epoch_s(start) == 86400.0


@pytest.mark.parametrize(
    ("text", "day_first", "day"),
    [("03/04/2026 10:00:00", False, (3, 4)), ("03.04.2026 10:00", True, (4, 3)), ("2026-03-04T10:00:00,5", True, (3, 4))],
)
def test_order_of_day_and_month_is_what_the_profile_says(text: str, day_first: bool, day: tuple[int, int]) -> None:
    found = CyclerTime(day_first=day_first).parse(text)
    assert (found.month, found.day) == day


def test_durations_count_days_as_well() -> None:
    assert [duration_s(text) for text in ("00:00:01.5", "26:00:00", "2 01:00:00", "2d 01:00:00")] == [
        1.5,
        93600,
        176400,
        176400,
    ]
