"""``operando demo``: the whole loop on a simulated beamline."""

import json
import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from operando.cli.beamtime import Beamtime, scan_roles
from operando.cli.ports import on_free_ports
from operando.cli.run import conduct
from operando.cli.summary import add_truth, summary_since
from operando.errors import ServiceError, StoppedError
from operando.process import stop_on_signals
from operando.profile import Profile, read_profile

_LEFT_BY_A_DEMO = (
    *("journal.jsonl*", "scan*.nxs*", "truth*.h5*", "lines", "logs", "profile.toml", "summary.json"),
    *("monitor.png", ".monitor.png.part", "cell.json", "cell.lock", "cell.tmp", "detector-series*"),
)
"""Whatever else is in the folder is somebody's, and stays."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Draw on a virtual screen; leave monitor.png.")] = False,
    out: Annotated[Path, typer.Option(help="Folder for the run; an earlier demo there is replaced.")] = Path("runs/demo"),
    profile: Annotated[str, typer.Option(help="A profile with a simulated beamline.")] = "demo",
    sample: Annotated[str | None, typer.Option(help="Another simulated sample, for instance jelly-roll-b.")] = None,
    scenario: Annotated[str | None, typer.Option(help="A simulated experiment, for instance aaa-charged-c2.")] = None,
    full: Annotated[bool, typer.Option("--full", help="The scenario at its true size: hours, not minutes.")] = False,
) -> None:
    """Show the lithium in a simulated working cell, live, in about three minutes.

    The real plan scans a simulated beamline (motors over Channel Access, a detector that streams over ZeroMQ, a cell from a
    recorded file), and the real pipeline analyses it. The folder then holds scan.nxs, summary.json and, with --headless,
    monitor.png.
    """
    started = time.monotonic()
    name = profile if scenario is None else scenario
    chosen = _with_sample(on_free_ports(read_profile(f"{name}/full" if full else name)), sample)
    if chosen.twin is None:
        raise ServiceError(f"profile {chosen.name!r} has no simulated beamline: use operando run")
    forget_earlier_demo(out)
    beamtime = Beamtime(profile=chosen, out=out.resolve())
    finish = summary_since(started)
    last = conduct(beamtime, headless=headless, stop=stop_on_signals(), roles=scan_roles(chosen), finish=finish)
    if last is None:
        raise StoppedError(f"the demo was stopped; what it measured is in {out}")
    sentences = add_truth(out)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    counted = f"{summary['frames_received']} frames of {summary['attempts_in_all']} lines, {summary['frames_missing']} missing"
    has_map = (out / "scan.nxs").is_file()
    kept = out / ("scan.nxs" if has_map else "lines")
    typer.echo(f"{counted}, in {time.monotonic() - started:.0f} s: see {kept} and {out}/summary.json")
    for sentence in sentences or [f"this {'sample has no truth' if has_map else 'run has no map'} to compare with"]:
        typer.echo(sentence)


def _with_sample(profile: Profile, sample: str | None) -> Profile:
    if sample is None or profile.twin is None:
        return profile
    return profile.model_copy(update={"twin": profile.twin.model_copy(update={"sample": sample})})


def forget_earlier_demo(out: Path) -> None:
    """Remove what an earlier demo left, and nothing else."""
    profile_file = out / "profile.toml"
    if not (out / "journal.jsonl").exists() or not profile_file.exists():
        return
    if read_profile(str(profile_file)).twin is None:
        raise ServiceError(f"{out} holds measurements of a real beamline: choose another --out")
    for path in [found for pattern in _LEFT_BY_A_DEMO for found in out.glob(pattern)]:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
