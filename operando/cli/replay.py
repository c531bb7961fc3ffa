"""``operando replay``: a run from its archive, through the same analysis and the same window, at any speed."""

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from operando.bus import FeedServer, MemoryStore
from operando.cli.beamtime import Beamtime
from operando.cli.ports import on_free_ports
from operando.cli.run import conduct
from operando.errors import MissingInputError
from operando.process import stop_on_signals
from operando.profile import read_profile


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)


def replay(
    file: Annotated[Path, typer.Argument(help="The scan.nxs of a run, or the folder that holds it with journal and lines.")],
    speed: Annotated[float, typer.Option(min=0.1, help="How many times faster than it was measured.")] = 20.0,
    headless: Annotated[bool, typer.Option("--headless", help="Draw on a virtual screen; leave monitor.png.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the new maps.")] = Path("runs/replay"),
) -> None:
    """Analyse a recorded run again, line by line as it was measured, and show the maps growing."""
    from streaming.replay import find_recording
    from streaming.replay import replay as play

    file = file / "scan.nxs" if file.is_dir() else file
    recording = find_recording(file)
    profile_file = file.parent / "profile.toml"
    if not profile_file.is_file():
        raise MissingInputError(f"no {profile_file}: a replay needs the profile that the run was made with")
    beamtime = Beamtime(profile=on_free_ports(read_profile(str(profile_file))), out=out.resolve())
    stop = stop_on_signals()
    journal, reduction = MemoryStore(), MemoryStore()
    with ExitStack() as stack:
        for store, address in ((journal, "journal"), (reduction, "reduction")):
            stack.enter_context(FeedServer(store, getattr(beamtime.profile.addresses, address)))

        def feed() -> None:
            play(recording, journal=journal, reduction=reduction, speed=speed, stop=stop)

        player = threading.Thread(target=feed, name="replay", daemon=True)
        conduct(beamtime, headless=headless, stop=stop, roles=("analyse",), doing="replaying", begin=player.start)
    typer.echo(f"replayed into {out}/scan.nxs")
