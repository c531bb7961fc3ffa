"""The model behind the window, without a window."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from operando.bus import Entry
from operando.messages import CellReading, MapPublished, RunStarted, ScanProgress, StreamStatus
from tests.viewer.conftest import sinogram_published
from viewer.freshness import Level, duration, freshness
from viewer.mailbox import Link, Mailbox, Receiver
from viewer.readings import Readings
from viewer.session import Session
from viewer.style import LEVEL_COLOUR
from viewer.words import centre_words, following_words, run_words, voxel_text


def by_kind(entries: list[Entry], kind: type) -> list[Entry]:
    return [entry for entry in entries if isinstance(entry.message, kind)]


def session_of(entries: list[Entry], clock: Callable[[], float] = time.time) -> Session:
    session = Session(clock=clock)
    for entry in entries:
        session.apply(entry)
    return session


def wait_for(is_true: Callable[[], bool], deadline_s: float = 30.0) -> None:
    end = time.monotonic() + deadline_s
    while not is_true():
        assert time.monotonic() < end, "it never became true"
        time.sleep(0.02)


LIVE = Link(source="tcp://x:1", is_met=True, silent_s=0.1)


def test_maps_stand_in_the_order_in_which_they_first_came(entries):
    session = session_of([*entries, by_kind(entries, MapPublished)[3]])
    assert list(session.tomogram.maps)[:3] == ["x_lithium", "weight_LiC6", "weight_LiC12"]
    assert session.n_refused == 0


def test_a_new_run_is_the_next_scan_and_late_words_about_the_last_stay_with_that(entries):
    session = session_of(entries)
    started = by_kind(entries, RunStarted)[0].message
    session.apply(Entry(number=9999, message=started.model_copy(update={"run": "run-0002"})))
    assert session.tomogram.run == "run-0002"
    assert not session.tomogram.maps
    session.apply(by_kind(entries, MapPublished)[0])
    assert not session.tomogram.maps
    assert [len(scan.maps) for scan in session.scans] == [9, 0]
    assert session.shown is session.tomogram
    assert len(session.readings) == 600


@pytest.mark.parametrize(
    ("kind", "array", "wrong", "word"),
    [
        ("MapPublished", "value", np.zeros(5, "f4"), "2 axes"),
        ("MapPublished", "value", np.zeros((0, 4), "f4"), "shape (0, 4)"),
        ("MapPublished", "sigma", np.zeros((2, 2), "f4"), "must agree"),
        ("SinogramPublished", "sinogram", np.zeros((3, 61), "f4"), "3 rows for 48 angles"),
        ("PatternPublished", "fit", np.zeros(7, "f4"), "7 of fit"),
        ("FramePreview", "image", np.zeros((4, 4), "f4"), "unsigned"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_counted_and_explained(entries, kind, array, wrong, word):
    good = next(entry for entry in entries if type(entry.message).__name__ == kind)
    session = Session()
    session.apply(Entry(number=1, message=good.message, arrays={**good.arrays, array: wrong}))
    assert session.n_refused == 1
    assert word in session.complaint
    session.apply(good)
    assert session.n_refused == 1


def test_a_map_without_its_value_or_with_an_empty_range_is_refused(entries):
    good = by_kind(entries, MapPublished)[0]
    session = Session()
    session.apply(Entry(number=1, message=good.message, arrays={}))
    session.apply(Entry(number=2, message=good.message.model_copy(update={"low": 1.0}), arrays=good.arrays))
    assert session.n_refused == 2
    assert not session.tomogram.maps


def test_the_value_under_the_cursor_is_the_one_at_that_place_with_y_upwards(entries):
    session = session_of(entries)
    shown = session.tomogram.maps["x_lithium"]
    value = shown.arrays["value"]
    row, column = np.argwhere(np.isfinite(value))[7]
    message = shown.message
    x_mm, y_mm = message.x_first_mm + column * message.pixel_mm, message.y_first_mm + row * message.pixel_mm
    text = voxel_text(session.shown, "x_lithium", x_mm=x_mm + 0.01, y_mm=y_mm - 0.01)
    assert f"{value[row, column]:.2f} ± 0.03" in text
    assert "no electrode here" in voxel_text(session.shown, "x_lithium", x_mm=0.0, y_mm=0.0)
    assert voxel_text(session.shown, "x_lithium", x_mm=99.0, y_mm=0.0) == ""
    assert voxel_text(session.shown, "unknown", x_mm=0.0, y_mm=0.0) == ""


@pytest.mark.parametrize(
    ("period_s", "green_s", "amber_s", "red_s"),
    [(0.04, 1.9, (2.0, 5.9), 6.2), (10.0, 19.9, (20.1, 41.9), 42.1), (20.0, 39.9, (40.1, 81.9), 82.1)],
)
def test_a_source_that_stops_is_seen_within_two_seconds_or_two_frames(entries, period_s, green_s, amber_s, red_s):
    now = [time.time()]
    session = session_of(entries, clock=lambda: now[0])
    started = by_kind(entries, RunStarted)[0].message.model_copy(update={"period_s": period_s, "exposure_s": 0.9 * period_s})
    session.apply(Entry(number=9998, message=started))
    newest_s = session.data_s

    def level(age_s: float) -> Level:
        now[0] = newest_s + age_s
        return freshness(session, LIVE).level

    assert level(0.1) is level(green_s) is Level.FRESH, "a healthy scan"
    assert level(amber_s[0]) is level(amber_s[1]) is Level.DOUBTFUL
    assert "no frame for" in freshness(session, LIVE).text
    assert level(red_s) is Level.STALE


def test_a_server_that_falls_silent_is_called_lost_and_one_never_met_is_waited_for():
    session = Session()
    lost = freshness(session, Link(source="tcp://x:1", is_met=True, silent_s=1.9))
    assert lost.level is Level.STALE
    waiting = freshness(session, Link(source="tcp://x:1", is_met=False, silent_s=12.4))
    assert waiting.text == "waiting for tcp://x:1, since 12 s"
    foreign = freshness(session, Link(source="tcp://x:1", is_met=False, silent_s=3, n_malformed=2, complaint="protocol 7"))
    assert foreign.level is Level.STALE
    assert foreign.text == "tcp://x:1 is not understood"


def test_a_finished_scan_does_not_age(entries):
    progress = by_kind(entries, ScanProgress)[0]
    over = Entry(number=9999, message=progress.message.model_copy(update={"state": "finished"}))
    session = session_of([*entries, over], clock=lambda: time.time() + 3600)
    assert session.is_over
    assert freshness(session, LIVE).level is Level.ENDED


@pytest.mark.parametrize(("state", "level"), [("finished", Level.ENDED), ("aborted", Level.CUT_SHORT), ("failed", Level.STALE)])
def test_each_end_of_a_scan_looks_its_own_and_tells_its_date(entries, state, level):
    progress = by_kind(entries, ScanProgress)[0].message.model_copy(update={"state": state})
    session = session_of([*entries, Entry(number=9999, message=progress)])
    verdict = freshness(session, None)
    assert verdict.level is level
    assert verdict.text.startswith(f"scan {state}")
    taken = datetime.fromtimestamp(session.tomogram.newest.data_time_s, tz=UTC).astimezone()
    assert verdict.text.endswith(taken.strftime("%d %b %H:%M"))
    assert LEVEL_COLOUR[Level.CUT_SHORT] != LEVEL_COLOUR[Level.ENDED]


def test_a_run_is_called_by_its_sample_and_date_and_only_then_by_its_name(entries):
    started = by_kind(entries, RunStarted)[0].message
    uid = "a81c6736-f5e1-4f3a-8efa-b4f76217ecd3"
    session = session_of([Entry(number=1, message=started.model_copy(update={"run": uid, "time_s": 1795170000.0}))])
    words = run_words(session)
    assert words.main.startswith("small jelly roll · M50T · 20 Nov 2026")
    assert words.small == "run a81c6736"


@pytest.mark.parametrize(
    ("estimated", "sigma", "words"),
    [
        (-0.00042, 0.00023, "centre -0.0004 ± 0.0002 mm"),
        (0.0312, 0.0049, "centre +0.0312 ± 0.0049 mm"),
        (0.03, 0.2, "centre +0.03 ± 0.20 mm"),
        (0.00001, 0.00001, "centre +0.0000 within 0.0001 mm"),
        (None, None, "centre +0.100 mm"),
    ],
)
def test_the_centre_is_told_as_measured_and_as_finely_as_it_is_known(estimated, sigma, words):
    message, _ = sinogram_published()
    told = {"centre_mm": 0.1, "centre_estimated_mm": estimated, "centre_sigma_mm": sigma}
    assert centre_words(message.model_copy(update=told)) == words


def test_a_status_alone_does_not_make_data_fresh(entries):
    session = Session()
    status = by_kind(entries, StreamStatus)[0].message
    session.apply(Entry(number=1, message=status))
    session.apply(Entry(number=2, message=status.model_copy(update={"time_s": status.time_s + 60})))
    assert session.data_s is None
    more = status.model_copy(update={"time_s": status.time_s + 61, "frames_received": status.frames_received + 1})
    session.apply(Entry(number=3, message=more))
    assert session.data_s == more.time_s


def test_the_mailbox_keeps_the_newest_of_a_key_and_every_entry_without_one(entries):
    mailbox = Mailbox()
    shown = by_kind(entries, MapPublished)[0]
    mailbox.put([shown, Entry(number=9998, key=shown.key, message=shown.message)])
    mailbox.put(by_kind(entries, CellReading))
    post = mailbox.empty()
    assert [entry.number for entry in post.entries if entry.key] == [9998]
    assert len(post.entries) == 601
    assert mailbox.empty().entries == []


def test_a_source_that_starts_again_makes_everything_before_void(entries):
    mailbox = Mailbox()
    mailbox.put(entries)
    mailbox.void()
    mailbox.put(entries[:1])
    post = mailbox.empty()
    assert post.is_void
    assert len(post.entries) == 1
    assert not mailbox.empty().is_void


def test_who_comes_late_has_the_same_maps_bit_for_bit(phantom):
    early, late = Session(), Session()
    receiver = Receiver(phantom.address)
    phantom.everything()
    wait_for(lambda: _drain(receiver, early) and len(early.readings) == 600 and early.tomogram.progress is not None)
    receiver.close()
    receiver = Receiver(phantom.address)
    wait_for(lambda: _drain(receiver, late) and len(late.readings) == 600 and late.tomogram.progress is not None)
    receiver.close()
    assert list(early.tomogram.maps) == list(late.tomogram.maps)
    for name, shown in early.tomogram.maps.items():
        for key, array in shown.arrays.items():
            assert array.tobytes() == late.tomogram.maps[name].arrays[key].tobytes()


def _drain(receiver: Receiver, session: Session) -> bool:
    for entry in receiver.mailbox.empty().entries:
        session.apply(entry)
    return True


def test_a_receiver_waits_for_a_server_that_is_not_there_and_ends_at_once():
    now_s = [100.0]
    receiver = Receiver("tcp://127.0.0.1:1", clock=lambda: now_s[0])
    now_s[0] += 3.0
    link = receiver.link
    receiver.close()
    assert not link.is_met
    assert link.silent_s == 3.0


def test_answers_that_cannot_be_read_are_counted_and_the_window_can_say_why():
    with zmq.Context.instance().socket(zmq.ROUTER) as socket:
        socket.linger = 0
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        receiver = Receiver(f"tcp://127.0.0.1:{port}")
        for answer in (b"\x00garbage", b'{"protocol": 7}'):
            client, _ = socket.recv_multipart()
            socket.send_multipart([client, answer])
        wait_for(lambda: receiver.link.n_malformed == 2)
        verdict = freshness(Session(), receiver.link)
        receiver.close()
    assert verdict.level is Level.STALE
    assert "protocol 7" in receiver.link.complaint


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(2.5, 4.2)), max_size=60))
def test_readings_stand_in_time_whatever_their_order_of_arrival(pairs):
    readings = Readings()
    for time_s, voltage_v in pairs:
        readings.add(CellReading(time_s=time_s, voltage_v=voltage_v, current_a=None))
    expected = dict(pairs)
    np.testing.assert_array_equal(readings.time_s, sorted(expected))
    np.testing.assert_array_equal(readings.voltage_v, [expected[t] for t in sorted(expected)])
    assert np.isnan(readings.current_a).all()


def test_gaps_in_the_numbers_of_a_feed_are_counted_and_shown(phantom):
    phantom.start()
    for second in range(4):
        phantom.frame(second)
    receiver = Receiver(phantom.address)
    wait_for(lambda: receiver.link.n_skipped == 3)
    receiver.close()
    words = following_words(Session(), receiver.link.n_skipped)
    assert words.main == "following · 3 skipped"
    assert words.small.startswith("3 updates of the feed were replaced by newer ones")
    assert following_words(Session(), 1234).main == "following · over 1000 skipped"
    assert following_words(Session()).main == "following"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0 s"), (59.9, "59 s"), (187, "3:07"), (7387, "2:03:07"), (-3, "0 s")])
def test_a_duration_reads_as_a_person_says_it(seconds, text):
    assert duration(seconds) == text
