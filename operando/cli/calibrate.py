"""``operando calibrate``: the geometry from a frame of a standard."""

from pathlib import Path
from typing import Annotated

import typer

from operando.errors import MissingInputError, OutputError
from operando.profile import read_profile


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(calibrate)


def calibrate(
    profile: Annotated[str, typer.Argument(help="A profile; its geometry is where the search starts.")],
    image: Annotated[Path, typer.Argument(help="A frame of the standard: CBF, EDF, TIFF or HDF5.")],
    calibrant: Annotated[str, typer.Option(help="CeO2 or LaB6.")] = "CeO2",
    energy_kev: Annotated[float | None, typer.Option(min=1, help="Photon energy; default: the profile's geometry.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the geometry here, as a new .poni file.")] = None,
) -> None:
    """Find the detector's position from a frame of a standard; refuse, with the reason, what does not fit."""
    from streaming.calibrate import calibrate_file

    if not image.is_file():
        raise MissingInputError(f"no image {image}")
    if out is not None and out.exists():
        raise OutputError(f"{out} exists: choose another --out; a geometry is never overwritten")
    result = calibrate_file(read_profile(profile), image, calibrant=calibrant, energy_kev=energy_kev)
    typer.echo(result.table())
    if out is not None:
        result.write_poni(out)
        typer.echo(f"geometry written to {out}")
