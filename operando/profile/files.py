"""Find, read and write the file of a profile."""

import tomllib
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from operando.errors import MissingInputError, ProfileError
from operando.profile.model import Profile


def profiles_folder() -> Path:
    """Give the folder of the profiles that come with operando: the checkout's, or the installed package's."""
    installed = Path(__file__).parents[1] / "_profiles"
    return installed if installed.is_dir() else Path(__file__).parents[2] / "profiles"


def find_profile(name_or_path: str) -> Path:
    """Give the profile file that a name or a path means.

    Raises
    ------
    MissingInputError
        If there is none, with the names that exist.
    """
    path = Path(name_or_path)
    for candidate in (path, path / "profile.toml", profiles_folder() / name_or_path / "profile.toml"):
        if candidate.is_file():
            return candidate
    known = sorted(found.parent.name for found in profiles_folder().glob("*/profile.toml"))
    raise MissingInputError(
        f"no profile {name_or_path!r}: give a folder with a profile.toml, or one of {', '.join(known) or 'none installed'}"
    )


def read_profile(name_or_path: str) -> Profile:
    """Read a profile by name or path.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ProfileError
        If it is not TOML, or a key is unknown, missing or wrong; the sentence names the key.
    """
    path = find_profile(name_or_path)
    values = _read_values(path)
    try:
        return Profile.model_validate({**values, "folder": path.parent.resolve()})
    except ValidationError as wrong:
        raise ProfileError(f"{path}: {complaints(wrong)}") from wrong


def _read_values(path: Path, *, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Read the keys of a file over those of the profile that it extends, whose paths become absolute."""
    if path in extended_by:
        raise ProfileError(f"{path}: extends: these profiles extend each other in a circle; end it")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise ProfileError(f"{path} is not TOML: {wrong}") from wrong
    if "folder" in values:
        raise ProfileError(f"{path}: folder: unknown key; remove it")
    base, without = values.pop("extends", None), values.pop("without", [])
    if base is None:
        return values
    base_path = find_profile(str(base))
    inherited = _read_values(base_path, extended_by=(*extended_by, path))
    strange = [key for key in without if key not in inherited]
    if strange:
        raise ProfileError(f"{path}: without: {', '.join(map(str, strange))} is not in {base}; remove it")
    kept = {key: value for key, value in inherited.items() if key not in without}
    return _overlaid(_with_absolute_paths(kept, base_path.parent), values)


def _overlaid(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Give tables merged key by key; anything else above replaces what is below."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        merged[key] = _overlaid(below[key], value) if both else value
    return merged


def _with_absolute_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    geometry = {
        key: str((folder / value).resolve()) if key in ("poni", "mask", "flat") else value
        for key, value in values.get("geometry", {}).items()
    }
    phases = [
        {**phase, **{key: str((folder / phase[key]).resolve()) for key in ("cif", "lithium_curve") if key in phase}}
        for phase in values.get("phases", [])
    ]
    return {**values, **({"geometry": geometry} if geometry else {}), **({"phases": phases} if phases else {})}


def write_profile(profile: Profile, path: Path) -> None:
    """Write a profile so that it reads back equal from another folder: paths inside become absolute."""
    values = profile.model_dump(mode="json", exclude_none=True)
    values["geometry"]["poni"] = str(profile.path(profile.geometry.poni))
    for key in ("mask", "flat"):
        if key in values["geometry"]:
            values["geometry"][key] = str(profile.path(Path(values["geometry"][key])))
    for phase, section in zip(profile.phases, values["phases"], strict=True):
        section["cif"] = str(profile.path(phase.cif))
        if phase.lithium_curve is not None:
            section["lithium_curve"] = str(profile.path(phase.lithium_curve))
    if profile.listen is not None:
        values["listen"]["table"] = str(profile.path(Path(profile.listen.table)))
    for key in ("source", "fallback"):
        if key in values["cell"]:
            values["cell"][key] = _absolute(profile, values["cell"][key])
    path.write_text(tomli_w.dumps(values), encoding="utf-8")


def _absolute(profile: Profile, source: str) -> str:
    """Give a cell source that names the same file from another folder; what begins with a variable does so already."""
    kind, _, what = source.partition(":")
    if kind not in ("file", "tail") or what.startswith("$"):
        return source
    return f"{kind}:{profile.path(Path(what))}"


def complaints(error: ValidationError) -> str:
    """Say what is wrong with a profile's values, key by key."""
    sentences = []
    for complaint in error.errors(include_url=False)[:5]:
        key = ".".join(map(str, complaint["loc"])) or "profile"
        if complaint["type"] == "extra_forbidden":
            sentences.append(f"{key}: unknown key; remove it or correct its spelling")
        elif complaint["type"] == "missing":
            sentences.append(f"{key}: missing; add it")
        else:
            sentences.append(f"{key}: {complaint['msg']}, found {complaint['input']!r}"[:300])
    return "; ".join(sentences)
