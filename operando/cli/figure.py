"""``operando figure``: maps side by side, as a paper prints them."""

from pathlib import Path
from typing import Annotated

import typer

from operando.errors import MissingInputError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(figure)


def figure(
    files: Annotated[list[Path], typer.Argument(help="One scan.nxs or more, in the order of the panels.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="A .pdf, .svg or .png.")],
    map_names: Annotated[
        list[str] | None, typer.Option("--map", help="Which map, again for more; default: the one that the file opens on.")
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(help="A scan.nxs of another cell, again for more: a second series, on the same scale."),
    ] = None,
    mix: Annotated[bool, typer.Option("--mix", help="The two maps of --map in one panel, in two colours.")] = False,
    columns: Annotated[int | None, typer.Option(min=1, max=20, help="Panels in a row.")] = None,
    width_mm: Annotated[float, typer.Option(min=20, max=2000, help="Width on paper, mm.")] = 180.0,
    colormap: Annotated[str | None, typer.Option(help="Instead of the map's own, for instance lixc6-print.")] = None,
    low: Annotated[float | None, typer.Option(help="Lower end of the colour scale.")] = None,
    high: Annotated[float | None, typer.Option(help="Upper end of the colour scale.")] = None,
) -> None:
    """Draw the maps of FILES in lettered panels with voltage and capacity, a scale bar in mm and one colour bar.

    With --beside, two series such as a pristine and an aged cell stand under each other, each in its own row.
    """
    from viewer.figure import Panel, write_figure
    from viewer.replay import names_apart
    from viewer.scan_file import read_scan
    from viewer.sheet import Layout

    scans, others = ([read_scan(file) for file in some] for some in (files, beside or []))
    names = map_names or [scans[0].names[0]]
    if mix and len(names) != 2:
        raise MissingInputError(f"a picture in two colours is of two maps, {len(names)} given: say --map twice")
    called = names_apart(files, beside) if beside else ("", "")
    pairs = [(names[0], names[1])] if mix else [(name, None) for name in names]
    panels = [
        Panel(shown=shown, second=None if second is None else scan.maps_named(second)[k], cell=scan.cell, series=series)
        for name, second in pairs
        for series, some in zip(called, (scans, others), strict=True)
        for scan in some
        for k, shown in enumerate(scan.maps_named(name))
    ]
    layout = Layout(n_columns=columns, width_mm=width_mm, colormap=colormap, low=low, high=high)
    write_figure(out, panels, layout)
    typer.echo(str(out))
