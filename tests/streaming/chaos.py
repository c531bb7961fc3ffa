"""A seeded proxy between sender and receiver: drops, doubles, delays and reorders, always in the same way for the same seed."""

import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cbor2
import zmq


@dataclass(frozen=True, kw_only=True)
class Chaos:
    seed: int
    dropped: frozenset[tuple[int, int]] = field(default_factory=frozenset)
    """(series, image id) of every image that never arrives."""
    duplicated: float = 0.0
    """Part of the messages that come twice, the second time late."""
    reach: int = 1
    """How many messages may overtake one another: 1 keeps the order."""

    def disturb(self, messages: Iterable[bytes]) -> Iterator[bytes]:
        """Give the messages as the receiver will see them; works on an endless stream."""
        rng = random.Random(self.seed)
        waiting: list[bytes] = []
        for message in messages:
            if identity(message) in self.dropped:
                continue
            waiting.append(message)
            if rng.random() < self.duplicated:
                waiting.append(message)
            while len(waiting) >= self.reach:
                yield waiting.pop(rng.randrange(len(waiting)))
        while waiting:
            yield waiting.pop(rng.randrange(len(waiting)))


def identity(message: bytes) -> tuple[int, int] | None:
    """Give (series, image id) of an image of stream V2; None for anything else."""
    value = cbor2.loads(message)
    return (value["series_id"], value["image_id"]) if value["type"] == "image" else None


def chosen(seed: int, ids: Sequence[tuple[int, int]], n: int) -> frozenset[tuple[int, int]]:
    """Choose n identities."""
    return frozenset(random.Random(seed).sample(ids, n))


def interleaved(seed: int, *streams: Sequence[bytes]) -> Iterator[bytes]:
    """Mix several streams, each in its own order."""
    rng = random.Random(seed)
    rests = [list(reversed(stream)) for stream in streams]
    while any(rests):
        rest = rng.choice([rest for rest in rests if rest])
        yield rest.pop()


class ChaosProxy:
    """The same on sockets: pulls from a detector, pushes to a receiver, until as many messages came as were asked for."""

    def __init__(self, source: str, chaos: Chaos, *, n_messages: int) -> None:
        context = zmq.Context.instance()
        self._pull, self._push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
        self._pull.connect(source)
        self._push.linger = 5000
        self.address = f"tcp://127.0.0.1:{self._push.bind_to_random_port('tcp://127.0.0.1')}"
        self._chaos, self._n_messages = chaos, n_messages
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._thread.join(timeout=20)
        self._pull.close(0)
        self._push.close()

    def _run(self) -> None:
        for message in self._chaos.disturb(self._pull.recv() for _ in range(self._n_messages)):
            self._push.send(message)
