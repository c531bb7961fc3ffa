"""The bus: a client has everything from number n, then what is new, whatever happens to either side."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from operando.bus import Entry, FeedClient, FeedServer, MemoryStore
from operando.bus.entry import DTYPES, entry_from_frames, frames_from_entry
from operando.errors import ServiceError, WireError
from operando.messages import Notice


def notice(text: str) -> Notice:
    return Notice(level="info", origin="test", text=text, time_s=1.0)


def texts(entries: list[Entry]) -> list[str]:
    return [entry.message.text for entry in entries if isinstance(entry.message, Notice)]


def poll_until(client: FeedClient, n: int, *, timeout_s: float = 10.0) -> list[Entry]:
    entries: list[Entry] = []
    deadline = time.monotonic() + timeout_s
    while len(entries) < n and time.monotonic() < deadline:
        entries += client.poll(0.1)
    return entries


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def server(store: MemoryStore) -> Iterator[FeedServer]:
    with FeedServer(store, "tcp://127.0.0.1:*") as server:
        yield server


@given(hnp.arrays(st.sampled_from(sorted(DTYPES)), hnp.array_shapes(max_dims=4, max_side=5)))
def test_an_entry_survives_the_wire_bit_for_bit(array: np.ndarray) -> None:
    entry = Entry(number=7, key="k", message=notice("a"), arrays={"value": array})
    back = entry_from_frames(frames_from_entry(entry))
    assert (back.number, back.key, back.message) == (7, "k", entry.message)
    assert back.arrays["value"].dtype == array.dtype
    assert back.arrays["value"].tobytes() == array.tobytes()


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_foreign_bytes_are_refused_with_a_wire_error(frames: list[bytes]) -> None:
    with pytest.raises(WireError):
        entry_from_frames(frames)


@pytest.mark.parametrize(
    "change",
    [
        {"arrays": [{"name": "v", "dtype": "<f4", "shape": [10**9, 10**9]}]},
        {"arrays": [{"name": "v", "dtype": "|O", "shape": [1]}]},
        {"arrays": [{"name": "v", "dtype": "<f4", "shape": [-1]}]},
        {"arrays": [{"name": "v", "dtype": "<f4", "shape": [1] * 9}]},
        {"arrays": [{"name": "v", "dtype": [], "shape": [3]}]},
        {"arrays": [{"name": "v", "dtype": {"f4": 1}, "shape": [3]}]},
        {"arrays": [{"name": "v", "dtype": "<f4", "shape": [True, 3]}]},
        {"arrays": []},
        {"number": "one"},
        {"message": {"kind": "notice", "version": 99}},
    ],
    ids=lambda change: next(iter(change)) + str(len(str(change))),
)
def test_a_header_that_lies_is_refused(change: dict[str, object]) -> None:
    frames = frames_from_entry(Entry(number=1, message=notice("a"), arrays={"v": np.zeros(3, "<f4")}))
    header = {**json.loads(frames[0]), **change}
    with pytest.raises(WireError):
        entry_from_frames([json.dumps(header).encode(), *frames[1:]])


def test_an_axis_without_length_does_not_let_another_be_endless() -> None:
    frames = frames_from_entry(Entry(number=1, message=notice("a"), arrays={"v": np.zeros((0, 3), "<f4")}))
    header = json.loads(frames[0])
    header["arrays"][0]["shape"] = [0, 10**30]
    with pytest.raises(WireError, match="impossible shape"):
        entry_from_frames([json.dumps(header).encode(), *frames[1:]])


def test_an_entry_that_cannot_be_sent_is_skipped_and_the_feed_lives(store: MemoryStore, server: FeedServer) -> None:
    store.append(notice("a"), arrays={"v": np.zeros(3, np.bool_)})
    store.append(notice("b"))
    with FeedClient(server.address) as client:
        assert texts(poll_until(client, 1)) == ["b"]
        assert client.state.n_skipped == 1


def test_a_late_client_gets_everything_then_updates(store: MemoryStore, server: FeedServer) -> None:
    for text in "abc":
        store.append(notice(text))
    with FeedClient(server.address) as client:
        assert texts(poll_until(client, 3)) == ["a", "b", "c"]
        store.append(notice("d"))
        assert texts(poll_until(client, 1)) == ["d"]


def test_a_client_gets_the_newest_of_a_key_and_counts_what_it_skipped(store: MemoryStore, server: FeedServer) -> None:
    for number in range(5):
        store.append(notice(f"map {number}"), key="map")
    with FeedClient(server.address) as client:
        assert texts(poll_until(client, 1)) == ["map 4"]
        assert client.state.n_skipped == 4


def test_a_long_beamtime_keeps_the_newest_arrays_and_all_words_within_its_memory() -> None:
    store = MemoryStore(capacity_bytes=4_000)
    store.append(notice("services"), key="services")
    for run in range(20):
        store.append(notice(f"map {run}"), key=f"map/{run}", arrays={"value": np.zeros(250, "f4")})
    store.append(notice("map 17 anew"), key="map/17", arrays={"value": np.ones(250, "f4")})
    assert texts(store.since(0, limit=100)) == ["services", "map 16", "map 18", "map 19", "map 17 anew"]
    store.append(notice("vast"), key="vast", arrays={"value": np.zeros(9_000, "u1")})
    assert texts(store.since(0, limit=100)) == ["services", "vast"]


def test_keys_and_entries_without_one_are_bounded_each() -> None:
    store = MemoryStore(capacity=3)
    for number in range(10):
        store.append(notice(f"run {number}"), key=f"run/{number}")
        store.append(notice(f"reading {number}"))
    assert texts(store.since(0, limit=100)) == [f"{what} {n}" for n in (7, 8, 9) for what in ("run", "reading")]


def test_a_client_that_knows_a_number_is_not_told_again(store: MemoryStore, server: FeedServer) -> None:
    for text in "abc":
        store.append(notice(text))
    with FeedClient(server.address, since=2, epoch=store.epoch) as client:
        assert texts(poll_until(client, 1)) == ["c"]


def test_a_client_may_come_before_its_server(store: MemoryStore) -> None:
    with FeedServer(MemoryStore(), "tcp://127.0.0.1:*") as probe:
        address = probe.address
    with FeedClient(address) as client:
        assert client.poll(0.05) == []
        assert client.state.epoch is None
        store.append(notice("at last"))
        with FeedServer(store, address):
            assert texts(poll_until(client, 1)) == ["at last"]


def test_a_server_that_comes_back_with_another_numbering_starts_the_client_again(store: MemoryStore) -> None:
    void = []
    store.append(notice("old"))
    with FeedServer(store, "tcp://127.0.0.1:*") as server:
        address = server.address
        client = FeedClient(address, on_new_epoch=lambda: void.append(True))
        assert texts(poll_until(client, 1)) == ["old"]
    fresh = MemoryStore()
    fresh.append(notice("new"))
    with FeedServer(fresh, address), client:
        assert texts(poll_until(client, 1)) == ["new"]
    assert void == [True]


def test_the_silence_of_a_dead_server_is_known(store: MemoryStore, server: FeedServer) -> None:
    now = [0.0]
    with FeedClient(server.address, clock=lambda: now[0]) as client:
        store.append(notice("a"))
        poll_until(client, 1)
        assert client.state.silent_s == 0.0
        server.close()
        now[0] = 1.5
        client.poll(0.01)
        assert client.state.silent_s == 1.5


def test_a_port_in_use_is_one_clear_sentence(server: FeedServer) -> None:
    with pytest.raises(ServiceError, match=r"cannot serve on .*in use"):
        FeedServer(MemoryStore(), server.address)


def test_a_port_that_is_given_up_in_a_moment_is_waited_for(store: MemoryStore) -> None:
    with socket.socket() as earlier:
        earlier.bind(("127.0.0.1", 0))
        earlier.listen()
        threading.Timer(0.2, earlier.close).start()
        with FeedServer(store, f"tcp://127.0.0.1:{earlier.getsockname()[1]}") as server, FeedClient(server.address) as client:
            store.append(notice("served"))
            assert texts(poll_until(client, 1)) == ["served"]


def test_a_malformed_entry_costs_itself_and_not_its_neighbours(store: MemoryStore) -> None:
    good = frames_from_entry(Entry(number=1, message=notice("good"))) + frames_from_entry(
        Entry(number=3, message=notice("last"))
    )
    router: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    with router, FeedClient(f"tcp://127.0.0.1:{port}") as client:
        client.poll(0.0)
        who, question = router.recv_multipart()
        header = {"protocol": 1, "tag": json.loads(question)["tag"], "epoch": "e", "head": 3, "last": 3, "frames": [1, 1, 1]}
        router.send_multipart([who, json.dumps(header).encode(), good[0], b"{}", good[1]])
        assert texts(poll_until(client, 2)) == ["good", "last"]
        assert client.state.n_malformed == 1
        assert client.number == 3


@pytest.mark.parametrize(
    "question", [b"", b"\x00" * 100, b'{"protocol":2,"tag":1,"since":0,"patience_s":0}', b'{"protocol":1}']
)
def test_a_hostile_question_is_refused_and_the_next_one_answered(
    store: MemoryStore, server: FeedServer, question: bytes
) -> None:
    dealer: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    dealer.linger = 0
    with dealer, FeedClient(server.address) as client:
        dealer.connect(server.address)
        dealer.send(question)
        assert dealer.poll(5000)
        assert "error" in json.loads(dealer.recv_multipart()[0])
        store.append(notice("still here"))
        assert texts(poll_until(client, 1)) == ["still here"]
        assert server.n_refused == 1


def test_a_client_that_never_reads_does_not_hold_up_the_others(store: MemoryStore, server: FeedServer) -> None:
    hung: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
    hung.linger = 0
    with hung, FeedClient(server.address) as client:
        hung.connect(server.address)
        for tag in range(200):
            hung.send(json.dumps({"protocol": 1, "tag": tag, "since": 0, "patience_s": 0}).encode())
        store.append(notice("to all"), arrays={"v": np.zeros(100_000, "<f4")})
        assert texts(poll_until(client, 1)) == ["to all"]


def test_memory_is_bounded_for_entries_without_a_key() -> None:
    store = MemoryStore(capacity=10)
    for number in range(1, 101):
        store.append(notice(str(number)))
    assert texts(store.since(0, limit=1000)) == [str(number) for number in range(91, 101)]
