"""``operando handover``: the patterns of voxels for GSAS-II, TOPAS, nDTomo and whatever reads columns."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from operando.errors import DataError, MissingInputError, OutputError
from operando.profile import read_profile

Format = Literal["xye", "gsas2", "topas", "ndtomo"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(handover)


def handover(
    file: Annotated[Path, typer.Argument(help="The scan.nxs of a run; lines/ and profile.toml stand beside it.")],
    out: Annotated[Path, typer.Option(help="A new folder; for ndtomo a new .h5 file.")],
    layout: Annotated[Format, typer.Option("--format", help="Whose files.")] = "xye",
    unit: Annotated[Literal["2theta", "q"], typer.Option(help="First column of xye.")] = "2theta",
    map_name: Annotated[str, typer.Option("--map", help="All voxels where this map has a value; default: the first map.")] = "",
    places: Annotated[list[str] | None, typer.Option("--voxel", metavar="X,Y", help="This place, mm; again for more.")] = None,
    profile: Annotated[str | None, typer.Option(help="Another profile than the one beside FILE.")] = None,
) -> None:
    """Write the reconstructed patterns of voxels, with sigma, for other programs; docs/handover.md describes the files."""
    from streaming.handover.deliver import deliver
    from streaming.handover.patterns import select_voxels

    archive = file / "scan.nxs" if file.is_dir() else file
    if out.exists():
        raise OutputError(f"{out} exists: choose another --out; nothing is ever overwritten")
    beside = archive.parent / "profile.toml"
    if profile is None and not beside.is_file():
        raise MissingInputError(f"no {beside}: it is the profile that the run was made with; name one with --profile")
    voxels = select_voxels(archive, map_name=map_name, at_mm=[_place(text) for text in places or []])
    n_files = deliver(archive, read_profile(profile or str(beside)), voxels, out, layout=layout, unit=unit)
    typer.echo(f"{voxels.size} voxels in {out} ({n_files} files)")


def _place(text: str) -> tuple[float, float]:
    try:
        x, y = (float(word) for word in text.split(","))
    except ValueError as wrong:
        raise DataError(f"--voxel {text}: wanted X,Y in mm from the rotation axis, for instance --voxel 0.5,-1.2") from wrong
    return x, y
