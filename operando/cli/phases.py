"""``operando phases``: other phases for the full profile of a beamtime that is on."""

from pathlib import Path
from typing import Annotated

import typer

from operando.errors import MissingInputError, ProfileError
from operando.profile import Phase, read_profile


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(phases)


def phases(
    out: Annotated[Path, typer.Argument(help="The folder of the beamtime.")],
    add: Annotated[list[str] | None, typer.Option(metavar="NAME=CIF", help="Look for this phase too; may be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Look for it no more; may be repeated.")] = None,
    refine: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=a,c", help="What of it is refined in every voxel; nothing after = is none."),
    ] = None,
) -> None:
    """Say which phases the full profile looks for, and add or remove some while the scan runs."""
    from streaming.refine.job import Refinery
    from streaming.refine.phase_list import FILE, absolute_phases, read_phases, with_phases, write_phases

    if not (out / "profile.toml").is_file():
        raise MissingInputError(f"no {out / 'profile.toml'}: give the folder of a beamtime, for instance runs/demo")
    profile = read_profile(str(out / "profile.toml"))
    path = out / FILE
    found = {phase.name: phase for phase in (read_phases(path) if path.is_file() else absolute_phases(profile))}
    for name in remove or []:
        _known(name, found)
        del found[name]
    for text in add or []:
        name, cif = _pair(text, "NAME=CIF")
        found[name] = Phase(name=name, label=name, cif=Path(cif).expanduser().resolve())
    for text in refine or []:
        name, axes = _pair(text, "NAME=a,c")
        _known(name, found)
        wanted = [axis for axis in axes.split(",") if axis]
        found[name] = Phase.model_validate({**found[name].model_dump(), "refine": wanted})
    if add or remove or refine:
        changed = with_phases(profile, list(found.values()))
        Refinery(changed)
        write_phases(path, changed.phases)
    for phase in found.values():
        moves = f", refines {', '.join(phase.refine)}" if phase.refine else ""
        typer.echo(f"{phase.name}: {phase.label} ({phase.cif.name}{moves})")


def _pair(text: str, wanted: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ProfileError(f"{text!r}: wanted {wanted}")
    return name, value


def _known(name: str, found: dict[str, Phase]) -> None:
    if name not in found:
        raise ProfileError(f"there is no phase {name!r}: the full profile looks for {', '.join(found)}")
