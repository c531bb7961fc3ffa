"""``operando profile new``: the starting point of a beamline or an experiment of one's own."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import tomli_w
import typer

from operando.errors import OutputError, ProfileError
from operando.profile import Profile, read_profile

_HEAD = """\
# {name}: made from {like} by `operando profile new`. Go through it from the top: `operando check` says what is wrong in it,
# with --live what of the beamline does not answer; docs/new-beamline.md goes through a day of it.
# Replace first: the process variables under [control], [detector] rest and stream, geometry.poni (operando calibrate), [cell].

"""

app = typer.Typer(help="Make profiles.", no_args_is_help=True)


def add_to(parent: typer.Typer) -> None:
    """Add the command."""
    parent.add_typer(app, name="profile")


@app.callback()
def commands() -> None:
    """Make profiles."""


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the profile.")],
    like: Annotated[str, typer.Option(help="The profile to begin from; p07-aaa listens, demo is simulated.")] = (
        "18650-1c/beamline"
    ),
    folder: Annotated[Path | None, typer.Option("--in", help="Where its folder is made; default: here.")] = None,
) -> None:
    """Make the folder NAME with a whole profile: profile.toml, geometry and phases, to be gone through from the top."""
    made = (folder or Path()) / name
    write_new(name, read_profile(like), like=like, folder=made)
    typer.echo(f"{made / 'profile.toml'}: go through it, then: operando check {made}")


def write_new(name: str, base: Profile, *, like: str, folder: Path) -> None:
    """Write a profile that stands alone in a new folder, its files beside it.

    Raises
    ------
    ProfileError
        If the name is no name of a folder.
    OutputError
        If the folder exists.
    """
    if Path(name).name != name or not name.strip():
        raise ProfileError(f"{name!r} is no name for a profile: use letters, digits and hyphens")
    if folder.exists():
        raise OutputError(f"{folder} exists: choose another name, or remove it; nothing is overwritten")
    (folder / "phases").mkdir(parents=True)
    values = base.model_dump(mode="json", exclude_none=True)
    values["name"] = name
    values["geometry"] |= _beside(base, folder)
    for phase, section in zip(base.phases, values["phases"], strict=True):
        section["cif"] = f"phases/{phase.name}.cif"
        shutil.copyfile(base.path(phase.cif), folder / section["cif"])
        if phase.lithium_curve is not None:
            section["lithium_curve"] = f"phases/{phase.name}-lithium.csv"
            shutil.copyfile(base.path(phase.lithium_curve), folder / section["lithium_curve"])
    text = _HEAD.format(name=name, like=like) + tomli_w.dumps(_in_order(values))
    (folder / "profile.toml").write_text(text, encoding="utf-8")


def _beside(base: Profile, folder: Path) -> dict[str, str]:
    """Copy the files of the geometry into the folder, and give their names there."""
    files = {"poni": Path("geometry.poni")}
    if base.geometry.mask is not None:
        files["mask"] = Path("mask").with_suffix(base.geometry.mask.suffix)
    for key, target in files.items():
        shutil.copyfile(base.path(getattr(base.geometry, key)), folder / target)
    return {key: str(target) for key, target in files.items()}


def _in_order(values: dict[str, Any]) -> dict[str, Any]:
    """Give what is replaced first at the top."""
    first = ("name", "description", "control", "detector", "geometry", "scan", "cell", "cell_limits", "dose", "phases")
    return {key: values[key] for key in (*first, *values) if key in values}
