"""The command line: what a beamline scientist types. Every command imports its room only when it is called."""

import errno
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from operando.cli import (
    bench,
    calibrate,
    check,
    demo,
    export,
    figure,
    handover,
    patterns,
    phases,
    pixels,
    process,
    profile,
    replay,
    resume,
    run,
    score,
    sector,
    start,
    view,
)
from operando.errors import OperandoError

IO_ERROR = 74
"""Exit code when a file or folder cannot be used (``EX_IOERR``): unlike the other causes, a full disk may pass."""

_ADVICE = {
    errno.ENOSPC: "free the disk, or choose another place",
    errno.EDQUOT: "free your quota, or choose another place",
    errno.EROFS: "choose a place that can be written to",
    errno.EACCES: "choose a place that you may use, or ask for the permission",
    errno.EPERM: "choose a place that you may use, or ask for the permission",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "a file stands where a folder is wanted: check the path",
    errno.EISDIR: "a folder stands where a file is wanted: check the path",
    errno.EEXIST: "a file stands where a folder is wanted: check the path",
}
"""What a person can do about an operating system's error; any other is our own fault and leaves its trace."""

app = typer.Typer(
    help="Watch a working cell by X-ray diffraction tomography, live.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    demo,
    run,
    resume,
    view,
    figure,
    export,
    handover,
    replay,
    process,
    phases,
    calibrate,
    pixels,
    check,
    profile,
    bench,
    score,
    sector,
    patterns,
    start,
):
    module.add_to(app)


@app.command()
def version() -> None:
    """Print the version of operando."""
    from operando import __version__

    typer.echo(__version__)


def _end_with_version(is_asked: bool) -> None:
    if is_asked:
        version()
        raise typer.Exit


@app.callback()
def options(
    is_version: Annotated[
        bool, typer.Option("--version", callback=_end_with_version, is_eager=True, help="Print the version of operando.")
    ] = False,
) -> None:
    """Take what is said before the command."""


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
    except OSError as error:
        if error.errno not in _ADVICE:
            raise
        what = f"{error.filename}: " if error.filename else ""
        typer.echo(f"operando: {what}{error.strerror}: {_ADVICE[error.errno]}", err=True)
        sys.exit(IO_ERROR)
