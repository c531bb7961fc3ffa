"""``operando sector``: which window of azimuth a recorded scan is best analysed with, and why."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from operando.scan import TomogramGrid


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(sector)


def sector(
    file: Annotated[
        Path, typer.Argument(help="The scan.nxs of a run, or its folder; lines/ and profile.toml stand beside it.")
    ],
    profile: Annotated[str | None, typer.Option(help="Another profile than the one beside FILE.")] = None,
) -> None:
    """Try windows of azimuth on the textured phases of FILE, whose lines must hold sectors; say which is the best, and why."""
    from streaming.channels import make_pattern_model
    from streaming.correct.choose_sector import choose, try_windows
    from streaming.line_file import read_line
    from streaming.recorded import find_recorded

    recorded = find_recorded(file, profile=profile)
    run = recorded.run
    grid = TomogramGrid(
        angles_deg=np.array(run.angles_deg),
        first_position_mm=run.first_position_mm,
        step_mm=run.step_mm,
        n_points=run.n_points,
    )
    lines = (read_line(path) for _, path in sorted(recorded.files.items()))
    trials = try_windows(lines, recorded.profile, make_pattern_model(recorded.profile), grid)
    for trial in trials:
        typer.echo(f"{trial.words:45s} no projection {100 * trial.inconsistency:5.1f} %   noise {100 * trial.noise:5.1f} %")
    best, why = choose(trials)
    typer.echo(why)
    if best.window is not None:
        centre, half = best.window
        typer.echo(f"operando process {file} --out NEW --set 'integration.sector=[{centre:g}, {half:g}]'")
