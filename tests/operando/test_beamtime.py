"""A beamtime as a whole: what its processes are told, and how what they say of its end is understood."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operando.bus import FeedServer, MemoryStore
from operando.cli.beamtime import Beamtime, follow_run
from operando.errors import ServiceError
from operando.messages import Message, Notice, PlanEnded, RunStarted, ScanProgress
from operando.profile import read_profile


def test_a_simulated_beamline_asks_no_other_for_its_motors(tmp_path: Path) -> None:
    beamtime = Beamtime(profile=read_profile("demo"), out=tmp_path)
    assert beamtime.role("acquire").environment["EPICS_CA_ADDR_LIST"] == ""


def test_a_real_beamline_is_found_where_the_site_says(tmp_path: Path) -> None:
    real = read_profile("demo").model_copy(update={"twin": None})
    assert "EPICS_CA_ADDR_LIST" not in Beamtime(profile=real, out=tmp_path).role("acquire").environment


def started(run: str, *, time_s: float = 10.0) -> RunStarted:
    numbers = dict.fromkeys(("first_position_mm", "step_mm", "exposure_s", "period_s", "speed_mm_s"), 1.0)
    return RunStarted(run=run, time_s=time_s, profile="p", plan="xrdct", angles_deg=[0.0], n_points=2, **numbers)  # type: ignore[arg-type]


def ended(exit_status: Any, reason: str = "", *, time_s: float = 11.0) -> PlanEnded:
    return PlanEnded(plan="xrdct", exit_status=exit_status, reason=reason, time_s=time_s)


def progress(run: str, state: Any) -> ScanProgress:
    counts = dict.fromkeys(
        ("lines_done", "lines_expected", "attempts", "frames_expected", "frames_received", "frames_missing"), 1
    )
    return ScanProgress(run=run, state=state, seconds_left=None, time_s=12.0, **counts)


@pytest.fixture
def follow(tmp_path: Path) -> Callable[..., tuple[ScanProgress | None, list[str]]]:
    """Follow a beamtime whose feeds say this, and give the last word and what a person is told."""

    def followed(journal: list[Message], results: list[Message], **options: Any) -> tuple[ScanProgress | None, list[str]]:
        stores, told = (MemoryStore(), MemoryStore()), list[str]()
        for store, messages in zip(stores, (journal, results), strict=True):
            for message in messages:
                store.append(message)
        demo, supervisor = read_profile("demo"), SimpleNamespace(check=lambda: None)
        with FeedServer(stores[0], "tcp://127.0.0.1:*") as first, FeedServer(stores[1], "tcp://127.0.0.1:*") as second:
            addresses = demo.addresses.model_copy(update={"journal": first.address, "results": second.address})
            beamtime = Beamtime(profile=demo.model_copy(update={"addresses": addresses}), out=tmp_path)
            last = follow_run(
                beamtime,
                supervisor,  # type: ignore[arg-type]
                show=lambda shown: None,
                notice=lambda notice: told.append(f"{notice.level}: {notice.text}"),
                stop=threading.Event(),
                **options,
            )
        return last, told

    return followed


def test_plan_is_over_with_the_last_word_on_its_last_run(follow: Callable[..., Any]) -> None:
    journal = [started("a"), started("b"), ended("success")]
    last, told = follow(journal, [progress("a", "finished"), progress("b", "finished")])
    assert (last.run, last.state, told) == ("b", "finished", [])


def test_scan_that_a_person_aborts_ends_in_order_and_says_who_wished_it(follow: Callable[..., Any]) -> None:
    last, told = follow([started("a"), ended("abort", "wished by Ada")], [progress("a", "aborted")])
    assert last.state == "aborted"
    assert told == ["warning: the scan was aborted: wished by Ada"]


def test_plan_that_fails_says_why(follow: Callable[..., Any]) -> None:
    with pytest.raises(ServiceError, match="xrdct failed: line 3 failed 3 times"):
        follow([started("a"), ended("fail", "line 3 failed 3 times")], [progress("a", "failed")])


def test_plan_that_fails_before_its_first_run_is_not_waited_for(follow: Callable[..., Any]) -> None:
    with pytest.raises(ServiceError, match="xrdct failed: rotation: 400 outside"):
        follow([ended("fail", "rotation: 400 outside of 360")], [Notice(level="info", origin="x", text="y", time_s=1.0)])


def test_earlier_plans_of_the_folder_are_not_the_end_of_this_one(follow: Callable[..., Any]) -> None:
    earlier = [started("a", time_s=1.0), ended("abort", "wished by Ada", time_s=2.0)]
    results = [progress("a", "aborted"), progress("b", "finished")]
    last, told = follow([*earlier, started("b"), ended("success")], results, since_s=5.0)
    assert (last.run, told) == ("b", [])
