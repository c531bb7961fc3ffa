"""``operando patterns``: a simulated scan as patterns, without images, for studies that no detector could stream."""

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(patterns)


def patterns(
    profile: Annotated[str, typer.Argument(help="A profile with a simulated sample, for instance aaa-charged-c2/full.")],
    out: Annotated[Path, typer.Option(help="The HDF5 file to write; its truth is written beside it.")],
    sectors: Annotated[
        bool, typer.Option("--sectors", help="Also 15 degrees about the fast axis and about the rotation axis.")
    ] = False,
    calibrated: Annotated[
        Path | None, typer.Option(metavar="PONI", help="Integrate with this geometry, not with where the detector is.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="How many to use.")] = 2,
    replace: Annotated[bool, typer.Option("--replace", help="Write over OUT if it is there.")] = False,
) -> None:
    """Write the sinogram of patterns of PROFILE's scan with counting statistics; docs/twin.md describes the file."""
    from acquisition.twin.patterns import FULL_RING, Sector, write_patterns
    from operando.errors import OutputError
    from operando.profile import read_profile

    if out.exists() and not replace:
        raise OutputError(f"{out} is there already: name another file, or say --replace")
    chosen = [FULL_RING]
    if sectors:
        chosen += [Sector(centre_deg=centre, half_width_deg=15.0) for centre in (0.0, 90.0)]
    truth = write_patterns(read_profile(profile), out, sectors=chosen, n_threads=threads, calibrated=calibrated)
    typer.echo(f"wrote {out} and its truth {truth}")
