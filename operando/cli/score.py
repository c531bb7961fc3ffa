"""``operando score``: how far the maps of a run are from what the simulated sample really was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from operando.cli.against_truth import read_maps, refuse_foreign, scores, state_of_run, truths
from operando.errors import DataError

if TYPE_CHECKING:
    from acquisition.twin.score import AnalysedMap, Image


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)


def score(
    result: Annotated[Path, typer.Argument(help="The scan.nxs of a run.")],
    truth: Annotated[Path, typer.Argument(help="The truth.h5 of its simulated sample.")],
    plots: Annotated[Path | None, typer.Option(help="Folder for pictures: truth, map, difference.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores here.")] = None,
    state: Annotated[int | None, typer.Option(min=0, help="State of a changing sample; default: the run's middle.")] = None,
) -> None:
    """Compare the maps of RESULT with TRUTH: bias, RMS, coverage of intervals, recall and precision."""
    from acquisition.twin.truth import read_slice

    refuse_foreign(result, truth)
    chosen = state_of_run(result, truth)[0] if state is None else state
    sample = read_slice(truth, state=chosen)
    maps = read_maps(result)
    rows = scores(maps, sample, truth, chosen)
    if not rows:
        raise DataError(f"{result} holds no map that {truth} has the truth of: was it analysed to the end?")
    if json_file is not None:
        json_file.write_text(
            json.dumps({"sample": sample.name, "state": chosen, "maps": rows}, indent=1) + "\n", encoding="utf-8"
        )
    if plots is not None:
        _draw(maps, truths(maps, sample, truth, chosen), plots)
    console = Console()
    # What goes into a file or a pipe is not cut to the width of a screen that is not there.
    (console if console.is_terminal else Console(width=120)).print(_table(rows))


def _table(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    columns = {
        "bias": "bias",
        "rms": "rms",
        "coverage_68": "in 68 %",
        "coverage_95": "in 95 %",
        "recall": "recall",
        "precision": "prec.",
        "n_voxels": "voxels",
        "n_missing": "missing",
        "n_extra": "extra",
    }
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("map", no_wrap=True)
    for title in columns.values():
        table.add_column(title, justify="right", no_wrap=True)
    for name, row in rows.items():
        values = [row.get(key) for key in columns]
        table.add_row(name, *(_in_a_word(value) for value in values))
    return table


def _in_a_word(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.3g}"


def _draw(maps: Mapping[str, "AnalysedMap"], true: Mapping[str, "Image"], folder: Path) -> None:
    """Draw truth, map and difference side by side, one picture for each map that has a truth."""
    import matplotlib as mpl

    mpl.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    for name, wanted in true.items():
        _picture(name, maps[name], wanted, folder / f"{name}.png")


def _picture(name: str, one: "AnalysedMap", true: "Image", path: Path) -> None:
    from matplotlib import pyplot

    value = np.where(one.reason == 0, one.value, np.nan)
    if name.startswith("amount_"):
        counts = np.isfinite(value)
        value = value * float(value[counts] @ true[counts]) / max(float(value[counts] @ value[counts]), 1e-300)
    n_y, n_x = value.shape
    low_x, low_y = one.x_first_mm - 0.5 * one.pixel_mm, one.y_first_mm - 0.5 * one.pixel_mm
    extent = (low_x, low_x + n_x * one.pixel_mm, low_y, low_y + n_y * one.pixel_mm)
    low, high, most = _limits(name, value, true)
    figure, axes = pyplot.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    for axis, title, data, least, largest, colours in (
        (axes[0], "truth", true, low, high, "viridis"),
        (axes[1], "map", value, low, high, "viridis"),
        (axes[2], "map - truth", value - true, -most, most, "RdBu_r"),
    ):
        shown = axis.imshow(
            data, origin="lower", extent=extent, vmin=least, vmax=largest, cmap=colours, interpolation="nearest"
        )
        axis.set(title=f"{name}: {title}", xlabel="x (mm)", ylabel="y (mm)")
        figure.colorbar(shown, ax=axis, extend="both", label="g/cm3" if name.startswith("amount_") else one.unit)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def _limits(name: str, value: "Image", true: "Image") -> tuple[float, float, float]:
    """Give the ends of the colours of truth and map, and of their difference: lengths and y do not begin at zero."""
    finite = true[np.isfinite(true)]
    if not finite.size:
        return 0.0, 1.0, 0.3
    top = float(finite.max()) or 1.0
    if any(word in name for word in ("x_lithium", "amount_", "wt_")):
        return 0.0, top, 0.3 * top
    off = np.abs(value - true)
    largest = float(np.nanpercentile(off, 98)) if np.isfinite(off).any() else 0.0
    most = max(largest, 1e-6 * top)
    return float(finite.min()) - most, top + most, most
