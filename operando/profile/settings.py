"""A profile with other values: ``KEY=VALUE`` as a person types it, checked as if it had stood in the file."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from operando.errors import ProfileError
from operando.profile import Profile, complaints


def with_settings(profile: Profile, settings: Sequence[str], *, without: Sequence[str] = ()) -> Profile:
    """Give a profile with some keys changed and some phases left out.

    Parameters
    ----------
    profile
        Stays as it is.
    settings
        Each ``KEY=VALUE`` with the key as in the file, dots between tables: ``reconstruction.filter=hann``; a phase is named,
        ``phases.nmc.fwhm_deg=0.06``. The value is JSON or a word; an empty one takes the key away.
    without
        Names of phases to leave out.

    Raises
    ------
    ProfileError
        If a key is unknown or a value wrong; the sentence names it.
    """
    values: dict[str, Any] = profile.model_dump(mode="json", exclude_none=True)
    for name in without:
        kept = [phase for phase in values["phases"] if phase["name"] != name]
        if len(kept) == len(values["phases"]):
            known = ", ".join(phase["name"] for phase in kept)
            raise ProfileError(f"there is no phase {name!r} to leave out; the profile has {known}")
        values["phases"] = kept
    for text in settings:
        _set(values, text)
    try:
        return Profile.model_validate({**values, "folder": profile.folder})
    except ValidationError as wrong:
        raise ProfileError(f"--set: {complaints(wrong)}") from wrong


def changed_keys(before: Profile, after: Profile) -> dict[str, tuple[Any, Any]]:
    """Give the keys whose values differ, with both values; a value that is not there is None."""
    old, new = _flat(before.model_dump(mode="json")), _flat(after.model_dump(mode="json"))
    return {key: (old.get(key), new.get(key)) for key in sorted(old | new) if old.get(key) != new.get(key)}


def _set(values: dict[str, Any], text: str) -> None:
    key, equals, typed = text.partition("=")
    if not key or not equals:
        raise ProfileError(f"--set {text}: wanted KEY=VALUE, for instance --set reconstruction.filter=hann")
    *tables, last = key.split(".")
    table: Any = values
    for depth, name in enumerate(tables):
        table = _below(table, name, ".".join(tables[: depth + 1]))
    if not isinstance(table, dict):
        raise ProfileError(f"--set {key}: name the one that is meant, for instance phases.nmc.fwhm_deg")
    if not typed:
        table.pop(last, None)
        return
    try:
        table[last] = json.loads(typed)
    except ValueError:
        table[last] = typed


def _below(table: Any, name: str, path: str) -> Any:
    if isinstance(table, dict):
        return table.setdefault(name, {})
    if isinstance(table, list):
        found = [one for one in table if isinstance(one, dict) and one.get("name") == name]
        if found:
            return found[0]
        known = ", ".join(str(one["name"]) for one in table if isinstance(one, dict) and "name" in one)
        raise ProfileError(f"--set {path}: there is no {name!r}; there is {known or 'nothing'}")
    raise ProfileError(f"--set {path}: this is a value, nothing stands below it")


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Give nested tables as one, with dotted keys; the elements of a list of tables by their names."""
    if isinstance(values, list) and values and all(isinstance(one, dict) and "name" in one for one in values):
        values = {one["name"]: one for one in values}
    if not isinstance(values, dict) or not values:
        return {prefix: values}
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}.{key}" if prefix else str(key))
    return flat
