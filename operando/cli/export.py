"""``operando export``: the maps of an archive as tables and as pictures to measure in."""

from pathlib import Path
from typing import Annotated

import typer

from operando.errors import MissingInputError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    file: Annotated[Path, typer.Argument(help="The scan.nxs of a run.")],
    map_names: Annotated[list[str] | None, typer.Option("--map", help="Which map, again for more; default: all.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Folder for tables: x, y, value, sigma, reason.")] = None,
    tiff: Annotated[Path | None, typer.Option(help="Folder for float32 TIFF with scale, for ImageJ.")] = None,
) -> None:
    """Write maps of FILE for other programs."""
    from viewer.export import write_csv, write_tiff
    from viewer.scan_file import read_scan

    if csv is None and tiff is None:
        raise MissingInputError("nothing to write: say where, with --csv FOLDER, --tiff FOLDER or both")
    scan = read_scan(file)
    chosen = {name: scan.maps_named(name) for name in map_names or scan.names}
    for name, maps in chosen.items():
        for k, shown in enumerate(maps):
            stem = name if len(maps) == 1 else f"{name}-{k:04d}"
            for folder, suffix, write in ((csv, ".csv", write_csv), (tiff, ".tif", write_tiff)):
                if folder is not None:
                    write(folder / f"{stem}{suffix}", shown, scan.cell)
                    typer.echo(str(folder / f"{stem}{suffix}"))
