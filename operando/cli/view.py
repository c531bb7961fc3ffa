"""``operando view``: the window, on a running beamtime or on an archive."""

import os
import threading
from pathlib import Path
from typing import Annotated

import typer

from operando.cli.archive_answers import ArchiveAnswers
from operando.errors import MissingInputError
from operando.log import configure_logging
from operando.process import run_until_stopped
from operando.profile import Addresses
from operando.screen import VirtualScreen


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(view)


def view(
    source: Annotated[
        str, typer.Argument(metavar="[ADDRESS|FILE]", help="tcp://HOST:PORT of the results, a scan.nxs, or a run's folder.")
    ] = "",
    beside: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A scan.nxs or a folder, to compare: its maps stand beside.")
    ] = None,
    map_names: Annotated[
        list[str] | None, typer.Option("--map", help="Which map is shown first, again for more; default: the first.")
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="The first two of these maps in one picture of two colours, too.")] = False,
    snapshot: Annotated[
        Path | None, typer.Option(help="Write a picture of the window when the run has ended, and end.")
    ] = None,
    movie: Annotated[
        Path | None, typer.Option(help="Write a film (.mp4) of the maps of FILE as they grew line by line; wants no screen.")
    ] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Draw on a virtual screen; with --snapshot.")] = False,
    leashed: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Show maps and cell state: live from ADDRESS (default: this machine), or from an archive FILE; of two, side by side.

    Start and stop it at any time, as often and on as many machines as you like: nothing upstream notices.
    """
    from viewer.app import view as show

    configure_logging()
    source = source or Addresses().results
    is_address = source.startswith("tcp://")
    files = [] if is_address else _sources(source)
    others = [] if beside is None else _archives(str(beside))

    if headless and snapshot is None and movie is None:
        raise MissingInputError("nobody would see it: with --headless, say where the picture goes with --snapshot FILE.png")
    if movie is not None:
        if is_address:
            raise MissingInputError("a film is made of a file: give the scan.nxs of a run")
        _film(_archives(source)[-1], movie)
        if snapshot is None:
            return

    def work(ready: object, stop: threading.Event) -> None:
        show(
            source if is_address else None,
            files,
            beside=others,
            maps=map_names or (),
            in_two_colours=mix,
            answers=ArchiveAnswers,
            snapshot=snapshot,
            stop=stop,
            wait_for_end=snapshot is not None,
        )

    if not headless:
        run_until_stopped(work, leashed=leashed)
        return
    with VirtualScreen() as screen:
        os.environ.update(screen.environment)
        run_until_stopped(work, leashed=leashed)


def _archives(source: str) -> list[Path]:
    """Give the archives that a word of the command line stands for."""
    from viewer.replay import archives_in

    path = Path(source)
    if source.startswith("tcp://"):
        raise MissingInputError("an address comes first, and what stands beside it is a file: operando view ADDRESS FILE")
    if path.is_dir():
        return archives_in(path)
    if not path.is_file():
        raise MissingInputError(f"no file {source}: give a scan.nxs, or an address such as {Addresses().results}")
    return [path]


def _sources(source: str) -> list[Path]:
    """Give what the window looks after: a folder with several archives as a whole, since more may come."""
    archives = _archives(source)
    return [Path(source)] if Path(source).is_dir() else archives


def _film(file: Path, movie: Path) -> None:
    from operando.cli.growth import growth_of
    from viewer.movie import write_movie

    growth = growth_of(file)
    n_frames = write_movie(movie, growth.steps, readings=growth.readings)
    typer.echo(f"{movie}: {n_frames} frames")
