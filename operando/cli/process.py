"""``operando process``: the analysis of a recorded run again, with other settings."""

import json
from pathlib import Path
from typing import Annotated, Any

import h5py
import numpy as np
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from operando.errors import ProfileError


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(process)


def process(
    file: Annotated[
        Path, typer.Argument(help="The scan.nxs of a run, or its folder; lines/ and profile.toml stand beside it.")
    ],
    out: Annotated[Path, typer.Option(help="A new folder for scan.nxs and what belongs to it.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A key of the profile: reconstruction.filter=hann, phases.nmc.fwhm_deg=0.06."
        ),
    ] = None,
    without: Annotated[list[str] | None, typer.Option("--without", metavar="PHASE", help="A phase not to look for.")] = None,
    profile: Annotated[str | None, typer.Option(help="Another profile than the one beside FILE.")] = None,
    lines: Annotated[
        str | None, typer.Option(metavar="FIRST:END", help="Only these lines, in flying order; 0:20 are the first twenty.")
    ] = None,
    partial: Annotated[bool, typer.Option("--partial", help="Go on without lines that are missing or damaged.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the comparison with FILE here.")] = None,
) -> None:
    """Analyse the lines of FILE again by the code that runs live; same settings give the same numbers. FILE is only read."""
    from operando.profile.settings import with_settings
    from streaming.process import check_settings
    from streaming.process import process as analyse
    from streaming.recorded import find_recorded

    recorded = find_recorded(file, profile=profile)
    wanted = with_settings(recorded.profile, settings or [], without=without or [])
    changed = check_settings(recorded.profile, wanted)
    if lines is not None:
        recorded = recorded.between(*_range(lines))
    for note in recorded.notes:
        typer.echo(note, err=True)
    done = analyse(recorded, wanted, out, is_partial=partial)
    for notice in done.notices:
        typer.echo(notice, err=True)
    rows = compare_maps(recorded.archive, done.archive)
    if json_file is not None:
        json_file.write_text(json.dumps({"changed": list(changed), "maps": rows}, indent=1) + "\n", encoding="utf-8")
    for key, (was, now) in changed.items():
        typer.echo(f"{key}: {was} -> {now}")
    Console().print(_table(rows))
    typer.echo(f"{done.n_lines} of {done.n_lines_expected} lines in {done.archive}")


def compare_maps(before: Path, after: Path) -> dict[str, dict[str, Any]]:
    """Say how far the maps of two archives differ, map by map."""
    rows: dict[str, dict[str, Any]] = {}
    with h5py.File(before, "r") as old, h5py.File(after, "r") as new:
        for name in [name for name, group in new["entry"].items() if "colormap" in group.attrs]:
            value, sigma = (new[f"entry/{name}/{key}"][()].astype(np.float64) for key in ("value", "value_errors"))
            is_good = np.isfinite(value)
            row: dict[str, Any] = {
                "n_voxels": int(is_good.sum()),
                "mean": _mean(value[is_good]),
                "sigma": _mean(sigma[is_good]),
            }
            if name in old["entry"] and old[f"entry/{name}/value"].shape == value.shape:
                earlier = old[f"entry/{name}/value"][()].astype(np.float64)
                difference = (value - earlier)[is_good & np.isfinite(earlier)]
                row |= {
                    "mean_before": _mean(earlier[np.isfinite(earlier)]),
                    "n_both": difference.size,
                    "largest": float(np.abs(difference).max(initial=0.0)),
                    "is_same": bool(np.array_equal(value, earlier, equal_nan=True)),
                }
            rows[name] = row
    return rows


def _mean(values: Any) -> float | None:
    return float(values.mean()) if values.size else None


def _table(rows: dict[str, dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("map", no_wrap=True)
    for title in ("voxels", "mean before", "mean now", "sigma", "largest change"):
        table.add_column(title)
    for name, row in rows.items():
        change = "none" if row.get("is_same") else _text(row.get("largest"))
        table.add_row(name, str(row["n_voxels"]), *(_text(row.get(key)) for key in ("mean_before", "mean", "sigma")), change)
    return table


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _range(text: str) -> tuple[int, int]:
    first, colon, end = text.partition(":")
    if not colon or not (first + end).isdigit():
        raise ProfileError(f"--lines {text}: wanted FIRST:END, for instance 0:20")
    return int(first or 0), int(end) if end else 2**31
