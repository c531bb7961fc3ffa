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
    profile: Annotated[str, typer.Argument(help="A profile; its geometry is nominal, within centimetres and some ten pixels.")],
    image: Annotated[Path, typer.Argument(help="A frame of the standard: CBF, EDF, TIFF or HDF5.")],
    calibrant: Annotated[str, typer.Option(help="CeO2 or LaB6.")] = "CeO2",
    energy_kev: Annotated[float | None, typer.Option(min=1, help="Photon energy; default: the profile's geometry.")] = None,
    refine_energy: Annotated[bool, typer.Option("--refine-energy", help="Fit the energy too, where the rings fix it.")] = False,
    instrument: Annotated[
        bool, typer.Option("--instrument", help="Fit the rings' widths: the section refinement.instrument of a profile.")
    ] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw frame, rings and residuals here: .png, .pdf or .svg.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the geometry here, as a new .poni file.")] = None,
) -> None:
    """Find the detector's position from a frame of a standard; refuse, with the reason, what does not fit."""
    from streaming.calibrate.files import calibrate_file, read_image
    from streaming.calibrate.instrument import instrument_profile
    from streaming.calibrate.picture import write_picture
    from streaming.integrate.geometry import read_geometry

    if not image.is_file():
        raise MissingInputError(f"no image {image}")
    if out is not None and out.exists():
        raise OutputError(f"{out} exists: choose another --out; a geometry is never overwritten")
    read = read_profile(profile)
    result = calibrate_file(read, image, calibrant=calibrant, energy_kev=energy_kev, refine_energy=refine_energy)
    typer.echo(result.table())
    if instrument:
        typer.echo(instrument_profile(read_image(image), result, mask=read_geometry(read).mask).words())
    if out is not None:
        result.write_poni(out)
        typer.echo(f"geometry written to {out}")
    if picture is not None:
        write_picture(picture, result, read_image(image), read_geometry(read).mask)
        typer.echo(f"picture drawn in {picture}")
