"""``operando check``: what is wrong with a profile, in words."""

from collections.abc import Callable
from typing import Annotated

import typer

from operando.errors import OperandoError, ProfileError
from operando.profile import Profile, read_profile


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    profile: Annotated[str, typer.Argument(help="A profile's name, folder or file.")],
    live: Annotated[bool, typer.Option("--live", help="Ask the beamline as well; nothing is put.")] = False,
) -> None:
    """Check PROFILE without touching hardware: keys, files, geometry, phases, cell source, limits of the scan."""
    read = read_profile(profile)
    typer.echo(f"ok     keys: {len(read.phases)} phases, {read.scan.n_lines} lines of {read.scan.n_points} points")
    examinations = EXAMINATIONS | ({"beamline": _beamline} if live else {})
    complaints = [complaint for name, examine in examinations.items() if (complaint := _examined(name, examine, read))]
    if complaints:
        raise ProfileError(f"profile {read.name!r} cannot be used: {len(complaints)} of {len(examinations)} checks failed")


def _examined(name: str, examine: Callable[[Profile], str], profile: Profile) -> str | None:
    try:
        found = examine(profile)
    except OperandoError as error:
        typer.echo(f"WRONG  {name}: {error}")
        return str(error)
    typer.echo(f"ok     {name}: {found}")
    return None


def _geometry(profile: Profile) -> str:
    from streaming.integrate.geometry import read_geometry

    geometry = read_geometry(profile)
    rows, columns = geometry.shape
    part = 100 * geometry.mask.mean()
    return f"{rows} x {columns} pixels, {part:.1f} % masked, wavelength {geometry.wavelength_angstrom:.5f} angstrom"


def _phases(profile: Profile) -> str:
    from streaming.channels import make_pattern_model
    from streaming.refine.job import Refinery

    structures = make_pattern_model(profile).structures
    if profile.refinement.enabled:
        Refinery(profile)
    return ", ".join(f"{structure.name} ({len(structure.q)} reflections)" for structure in structures)


def _compute(profile: Profile) -> str:
    from streaming.gpu.device import choose_device, find_gpu

    if profile.compute.device == "cpu":
        return "on the processor"
    if profile.compute.device == "auto":
        found = find_gpu()
        return f"on the processor: {found}" if isinstance(found, str) else f"on the GPU, {found.name}"
    chosen = choose_device(profile.compute.device)
    rejected = ", but for images: pixels are rejected on the processor" if profile.integration.estimator == "rejected" else ""
    return f"on the GPU, {chosen.name}{rejected}" if chosen else "on the processor"


def _cell(profile: Profile) -> str:
    from acquisition.cell.source import describe_source

    return describe_source(profile)


def _frames(profile: Profile) -> str:
    from streaming.sources.choose import describe_frames

    return describe_frames(profile)


def _scan(profile: Profile) -> str:
    if profile.control.mode == "listen":
        from acquisition.listening.follow import describe_table

        return describe_table(profile)
    from acquisition.plans.dry_run import dry_run

    rehearsal = dry_run(profile)
    if rehearsal.complaints:
        raise ProfileError("; ".join(rehearsal.complaints))
    return f"{rehearsal.programme.n_frames} frames in {rehearsal.programme.duration_s:.0f} s"


def _sample(profile: Profile) -> str:
    if profile.twin is None:
        return "nothing is simulated"
    from acquisition.twin.sample import describe_sample

    return describe_sample(profile)


def _control(profile: Profile) -> str:
    from acquisition.examine import describe_control

    return describe_control(profile)


def _beamline(profile: Profile) -> str:
    if profile.control.mode == "listen":
        return "nothing is asked: another control system scans"
    from acquisition.examine import examine_beamline

    return examine_beamline(profile)


EXAMINATIONS: dict[str, Callable[[Profile], str]] = {
    "geometry": _geometry,
    "phases": _phases,
    "cell": _cell,
    "frames": _frames,
    "sample": _sample,
    "control": _control,
    "scan": _scan,
    "compute": _compute,
}
