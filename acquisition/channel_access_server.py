"""Serve process variables on loopback with caproto until told to stop; quiet, and on the port that clients were told."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import structlog
from caproto.asyncio.server import Context

from acquisition.channel_access import LOOPBACK, REPEATER_PORT_OFFSET, use_as_server
from operando.errors import ServiceError

logger = structlog.get_logger(__name__)

STOP_S = 0.05
"""How often the server looks whether it shall stop."""
CANCEL_S, CANCELLED_TIMES = 1.0, 10
"""Pause between two cancellations of the server's tasks, and how many there are at most."""


async def serve_pvs(
    pvs: Mapping[str, Any],
    *,
    port: int,
    work: Coroutine[Any, Any, None],
    ready: Callable[[], None],
    stop: threading.Event,
) -> None:
    """Serve process variables, with the work that changes them, until told to stop.

    Parameters
    ----------
    pvs
        Process variables by name, as caproto's groups give them.
    port
        UDP and TCP, on loopback only.
    work
        Runs beside the server; an exception in it ends the server and is raised.
    ready
        Called once when clients can connect.

    Raises
    ------
    ServiceError
        If the port is taken.
    """
    try:
        use_as_server(port)
    except ServiceError:
        work.close()
        raise
    # Its warnings of a busy moment and its tracebacks of lost clients tell a scientist nothing.
    logging.getLogger("caproto").setLevel(logging.CRITICAL)
    context = Context(dict(pvs), [LOOPBACK])

    async def announce(_: object) -> None:
        if context.port != port:
            raise ServiceError(f"Channel Access port {port} was taken at the last moment: start again")
        logger.info("process variables served", port=port, records=len(pvs))
        ready()

    with _beacon_sink(port + REPEATER_PORT_OFFSET):
        await _first_of(context.run(startup_hook=announce), work, _until(stop))


async def _first_of(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Run all until the first ends, cancel the others, and raise what the first raised."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(tasks)
    for task in done:
        task.result()


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they end: one that loses a cancellation, as Python 3.11 has it, hears the next."""
    left = set(tasks)
    for _ in range(CANCELLED_TIMES):
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=CANCEL_S)
        if not left:
            break
    await asyncio.gather(*(task for task in tasks if task.done()), return_exceptions=True)


async def _until(stop: threading.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(STOP_S)


def _beacon_sink(port: int) -> contextlib.AbstractContextManager[object]:
    """Take the port of the repeater, so that beacons stay on loopback and no client asks for a repeater program.

    A real repeater that has the port already does both as well.
    """
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sink.bind((LOOPBACK, port))
    except OSError:
        sink.close()
        return contextlib.nullcontext()
    return contextlib.closing(sink)
