"""``operando start``: one process of a beamtime, by hand or by the supervisor."""

import threading
from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Protocol

import typer

from operando.log import configure_logging
from operando.process import run_until_stopped
from operando.profile import Profile, read_profile
from operando.profile.settings import with_settings


class RoleName(StrEnum):
    """The processes of a beamtime."""

    IOC = "ioc"
    DETECTOR = "detector"
    CELL = "cell"
    ACQUIRE = "acquire"
    LISTEN = "listen"
    REDUCE = "reduce"
    ANALYSE = "analyse"
    QUEUE = "queue"


MODULES = {
    RoleName.IOC: "acquisition.twin.beamline",
    RoleName.DETECTOR: "acquisition.twin.simplon.server",
    RoleName.CELL: "acquisition.cell.bridge",
    RoleName.ACQUIRE: "acquisition.session",
    RoleName.LISTEN: "acquisition.listening.session",
    RoleName.REDUCE: "streaming.reduction",
    RoleName.ANALYSE: "streaming.analysis",
    RoleName.QUEUE: "acquisition.queue.session",
}


class Serve(Protocol):
    """What each of these modules offers: do the work until ``stop`` is set, and say once when it can be used."""

    def __call__(self, profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
        """Serve until stopped."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(start)


def start(
    role: Annotated[RoleName, typer.Argument(help="Which process.")],
    profile: Annotated[str, typer.Argument(help="A profile's name, folder or file.")],
    out: Annotated[Path, typer.Option(help="Folder of the beamtime; all its processes share it.")] = Path("runs/default"),
    device: Annotated[
        str | None, typer.Option(help="cpu, gpu or auto, in place of the profile's: where reduce and analyse compute.")
    ] = None,
    leashed: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Start one process of a beamtime, in any order: ioc, detector (twin), cell, acquire, queue, listen, reduce, analyse."""
    configure_logging()
    read = read_profile(profile)
    if device is not None:
        read = with_settings(read, [f"compute.device={device}"])
    out.mkdir(parents=True, exist_ok=True)
    serve: Serve = import_module(MODULES[role]).serve
    run_until_stopped(lambda ready, stop: serve(read, out=out.resolve(), ready=ready, stop=stop), leashed=leashed)
