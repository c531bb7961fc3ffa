"""The phases of a run that is on: receives a file that a person edits, gives the phases that the full profile looks for.

``phases.toml`` in the folder of a beamtime holds tables ``[[phases]]`` as a profile does and stands in place of the profile's.
It is read again when it has changed; one that is wrong is said and changes nothing.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import tomli_w
from pydantic import ValidationError

from operando.errors import ProfileError
from operando.profile import Phase, Profile, complaints

FILE = "phases.toml"


class PhaseList:
    """Follows the file; used from one thread.

    Parameters
    ----------
    profile
        Gives the phases where there is no file.
    path
        The file, which may come and go.
    """

    def __init__(self, profile: Profile, path: Path) -> None:
        self._profile, self._path = profile, path
        self._read_at: float | None = None

    @property
    def changed_s(self) -> float:
        """When the file was last written, Unix epoch; 0 where there is none."""
        try:
            return self._path.stat().st_mtime
        except OSError:
            return 0.0

    def newer_profile(self) -> Profile | None:
        """Give the profile with the phases of the file, if that has changed since the last call.

        Raises
        ------
        ProfileError
            If the file is wrong, once for each time that it is written.
        """
        changed_s = self.changed_s
        if changed_s == (self._read_at or 0.0):
            return None
        self._read_at = changed_s
        return self._profile if changed_s == 0.0 else with_phases(self._profile, read_phases(self._path))


def read_phases(path: Path) -> list[Phase]:
    """Read the phases of a file; paths inside are relative to its folder.

    Raises
    ------
    ProfileError
        If it is not TOML, or holds no phase, or a wrong one.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
        phases = [Phase.model_validate(one) for one in values["phases"]]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise ProfileError(f"{path} cannot be read: {wrong}; the phases stay as they were") from wrong
    except (KeyError, TypeError) as wrong:
        raise ProfileError(f"{path} holds no [[phases]]; the phases stay as they were") from wrong
    except ValidationError as wrong:
        raise ProfileError(f"{path}: {complaints(wrong)}; the phases stay as they were") from wrong
    folder = path.parent.resolve()
    return [_absolute(phase, folder) for phase in phases]


def write_phases(path: Path, phases: Sequence[Phase]) -> None:
    """Write a file of phases, whole at any moment."""
    tables = [phase.model_dump(mode="json", exclude_none=True) for phase in phases]
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(tomli_w.dumps({"phases": tables}), encoding="utf-8")
    unfinished.replace(path)


def with_phases(profile: Profile, phases: Sequence[Phase]) -> Profile:
    """Give a profile with other phases.

    Raises
    ------
    ProfileError
        If there is none, or two have one name.
    """
    values = {**profile.model_dump(), "phases": [phase.model_dump() for phase in phases], "folder": profile.folder}
    try:
        return Profile.model_validate(values)
    except ValidationError as wrong:
        raise ProfileError(f"{complaints(wrong)}; the phases stay as they were") from wrong


def absolute_phases(profile: Profile) -> list[Phase]:
    """Give the phases of a profile with paths that hold from any folder."""
    return [_absolute(phase, profile.folder) for phase in profile.phases]


def _absolute(phase: Phase, folder: Path) -> Phase:
    paths = {"cif": phase.cif} | ({} if phase.lithium_curve is None else {"lithium_curve": phase.lithium_curve})
    return phase.model_copy(update={key: (folder / path.expanduser()).resolve() for key, path in paths.items()})
