"""The command line: what a beamline scientist types. Every command imports its room only when it is called."""

import sys
from collections.abc import Sequence

import typer

from operando.cli import bench, calibrate, check, demo, export, figure, patterns, replay, run, score, start, view
from operando.errors import OperandoError

app = typer.Typer(
    help="Watch a working cell by X-ray diffraction tomography, live.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (demo, run, view, figure, export, replay, calibrate, check, bench, score, patterns, start):
    module.add_to(app)


@app.command()
def version() -> None:
    """Print the version of operando."""
    from operando import __version__

    typer.echo(__version__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an error that a person can act on ends with one sentence and its exit code.

    Parameters
    ----------
    arguments
        What follows the program's name; default: what was typed.
    """
    try:
        app(args=arguments)
    except OperandoError as error:
        typer.echo(f"operando: {error}", err=True)
        sys.exit(error.exit_code)
