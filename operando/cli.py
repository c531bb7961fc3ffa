"""The command line: what a beamline scientist types."""

import sys

import typer

from operando.errors import OperandoError

app = typer.Typer(help="Watch a working cell by X-ray diffraction tomography, live.", no_args_is_help=True)


@app.command()
def version() -> None:
    """Print the version of operando."""
    from operando import __version__

    typer.echo(__version__)


def main() -> None:
    """Run the command line; an error that a person can act on ends with one sentence and its exit code."""
    try:
        app()
    except OperandoError as error:
        typer.echo(f"operando: {error}", err=True)
        sys.exit(error.exit_code)
