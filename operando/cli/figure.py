"""``operando figure``: maps side by side, as a paper prints them."""

from pathlib import Path
from typing import Annotated

import typer


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(figure)


def figure(
    files: Annotated[list[Path], typer.Argument(help="One scan.nxs or more, in the order of the panels.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .pdf, .svg or .png.")],
    map_names: Annotated[
        list[str] | None, typer.Option("--map", help="Which map, again for more; default: the one that the file opens on.")
    ] = None,
    columns: Annotated[int | None, typer.Option(min=1, max=20, help="Panels in a row.")] = None,
    width_mm: Annotated[float, typer.Option(min=20, max=2000, help="Width on paper, mm.")] = 180.0,
    colormap: Annotated[str | None, typer.Option(help="Instead of the map's own, for instance lixc6-print.")] = None,
    low: Annotated[float | None, typer.Option(help="Lower end of the colour scale.")] = None,
    high: Annotated[float | None, typer.Option(help="Upper end of the colour scale.")] = None,
) -> None:
    """Draw the maps of FILES in lettered panels with voltage and capacity, a scale bar in mm and one colour bar."""
    from viewer.figure import Layout, Panel, write_figure
    from viewer.scan_file import read_scan

    scans = [read_scan(file) for file in files]
    panels = [
        Panel(shown=shown, cell=scan.cell)
        for name in map_names or [scans[0].names[0]]
        for scan in scans
        for shown in scan.maps_named(name)
    ]
    layout = Layout(n_columns=columns, width_mm=width_mm, colormap=colormap, low=low, high=high)
    write_figure(out, panels, layout)
    typer.echo(str(out))
