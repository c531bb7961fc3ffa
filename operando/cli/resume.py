"""``operando resume``: the rest of a tomogram that broke off, into the same folder; both make one map."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from operando.cli.beamtime import Beamtime, scan_roles
from operando.cli.ports import on_free_ports
from operando.cli.run import conduct
from operando.cli.summary import add_truth, summary_since
from operando.errors import DataError, MissingInputError, StoppedError
from operando.journal import read_journal
from operando.messages import LineFlown, Message, RunStarted
from operando.process import stop_on_signals
from operando.profile import Profile, Scan, read_profile

PLANS = ("xrdct", "steered")
"""Plans of one tomogram whose lines fly by themselves."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(resume)


def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of the run that broke off, with its journal and profile.toml.")],
    headless: Annotated[bool, typer.Option("--headless", help="Draw on a virtual screen; leave monitor.png.")] = False,
) -> None:
    """Fly the lines that are missing of the newest tomogram in FOLDER: after an abort, a crash or a power cut.

    The beamline is asked and checked as for any run. Lines that flew are kept.
    """
    journal = folder / "journal.jsonl"
    if not journal.is_file() or not (folder / "profile.toml").is_file():
        raise MissingInputError(f"no {journal} with a profile.toml beside it: name the folder of the run that broke off")
    saved = read_profile(str(folder / "profile.toml"))
    rest = rest_of_run(saved if saved.twin is None else on_free_ports(saved), read_journal(journal))
    typer.echo(f"{folder}: goes on at line {rest.scan.plan_arguments['start_line']} of {rest.scan.n_lines}")
    finish = summary_since(time.monotonic())
    beamtime = Beamtime(profile=rest, out=folder.resolve())
    last = conduct(
        beamtime, headless=headless, stop=stop_on_signals(), roles=scan_roles(rest), finish=finish, is_new_folder=False
    )
    if last is None:
        raise StoppedError(f"the run was stopped; what it measured is in {folder}")
    for sentence in add_truth(folder):
        typer.echo(sentence)


def rest_of_run(profile: Profile, journal: Sequence[Message]) -> Profile:
    """Give the profile that flies what is missing of the newest tomogram of a journal.

    Raises
    ------
    DataError
        If there is no such tomogram, it is whole, or its lines are not those of the profile.
    """
    started = {one.run: one for one in journal if isinstance(one, RunStarted)}
    tomograms = [one for one in started.values() if one.metadata.get("purpose", "tomogram") == "tomogram"]
    if not tomograms or tomograms[-1].plan not in PLANS:
        plan = tomograms[-1].plan if tomograms else "no tomogram"
        raise DataError(f"found {plan}, wanted a tomogram flown by {' or '.join(PLANS)}: begin it anew with operando run")
    newest = tomograms[-1]
    if newest.metadata.get("densifies"):
        raise DataError(
            f"run {newest.run} makes a disc of {newest.metadata['densifies']} denser: what it flew is in the map; for the rest "
            "fly the plan densify again"
        )
    runs, run = [newest.run], newest
    while (earlier := str(run.metadata.get("continues", ""))) in started and earlier not in runs:
        run = started[earlier]
        runs.append(earlier)
    flown = {one.line for one in journal if isinstance(one, LineFlown) and one.run in runs}
    missing = sorted(set(range(len(newest.angles_deg))) - flown)
    if not missing:
        raise DataError(f"all {len(flown)} lines of run {newest.run} have flown: there is nothing to go on with")
    rest = _with_scan_of(newest, profile)
    _check_same(rest, newest)
    arguments = {"start_line": missing[0], "continues": newest.run}
    scan = rest.scan.model_copy(update={"plan": "xrdct", "plan_arguments": arguments, "begin": "at_once"})
    return rest.model_copy(update={"scan": scan})


def _with_scan_of(run: RunStarted, profile: Profile) -> Profile:
    """Give the profile with the scan of a run, whether it came from the profile or from arguments."""
    scan = profile.scan.model_dump() | {"exposure_s": run.exposure_s}
    if isinstance(flown := run.metadata.get("scan"), dict):
        scan |= flown
    return profile.model_copy(update={"scan": Scan.model_validate(scan)})


def _check_same(profile: Profile, run: RunStarted) -> None:
    from acquisition.plans.layout import layout_of

    angles_deg = layout_of(profile).grid.angles_deg
    if not np.allclose(angles_deg, run.angles_deg, rtol=0, atol=1e-6):
        raise DataError(
            f"the lines of run {run.run} stand at other angles than the profile in its folder gives: put the profile back that "
            "it was flown with"
        )
