"""Free ports for a demo, so that it runs beside anything else."""

import os
import random
import socket

from operando.errors import ServiceError
from operando.profile import Profile

_CHANNEL_ACCESS_FIRST = 15064
_CHANNEL_ACCESS_LAST = 25064
_FIRST, _LAST = 25100, 32700


def on_free_ports(profile: Profile) -> Profile:
    """Give the profile with every loopback port replaced by one that is free now."""
    ports = free_ports(9)
    loopback = [f"tcp://127.0.0.1:{port}" for port in ports]
    detector = profile.detector.model_copy(update={"rest": f"http://127.0.0.1:{ports[0]}", "stream": loopback[1]})
    names = ("journal", "reduction", "results", "questions", "commands")
    addresses = profile.addresses.model_copy(update=dict(zip(names, (*loopback[2:5], *loopback[6:8]), strict=True)))
    queue = profile.queue.model_copy(update={"control": f"tcp://127.0.0.1:{ports[8]}"})
    control = profile.control.model_copy(update={"channel_access_port": free_channel_access_port()})
    twin = profile.twin.model_copy(update={"cable": loopback[5]}) if profile.twin else None
    changed = {"detector": detector, "addresses": addresses, "control": control, "queue": queue, "twin": twin}
    return profile.model_copy(update=changed)


def free_ports(n: int) -> list[int]:
    """Give different TCP ports that nobody listens on at this moment.

    It takes seconds until the processes of a demo bind them, and the system gives those above 32768 to whoever asks for any
    and to every connection that leaves this computer: these are taken from below, at random.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(range(_FIRST, _LAST), _LAST - _FIRST):
        if _is_free(port, socket.SOCK_STREAM):
            found.append(port)
        if len(found) == n:
            return found
    raise ServiceError(f"no {n} free ports between {_FIRST} and {_LAST}: end other servers here")


def free_channel_access_port() -> int:
    """Give a port that is free in TCP and UDP together with its successor: beamline and cell bridge are neighbours."""
    # Two demos that start together find the same ports free: each begins its search elsewhere.
    ports = list(range(_CHANNEL_ACCESS_FIRST, _CHANNEL_ACCESS_LAST, 2))
    begin = os.getpid() % len(ports)
    for port in ports[begin:] + ports[:begin]:
        if all(_is_free(number, kind) for number in (port, port + 1) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)):
            return port
    raise ServiceError("no free pair of Channel Access ports between 15064 and 25064: end other control systems here")


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
