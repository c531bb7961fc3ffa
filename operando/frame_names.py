"""Names of detector files: which series and image a file is, read from its path by a template.

In a template ``{series}``, ``{image}`` and ``{file}`` stand for digits and ``*`` for any part of a name; everything else stands
for itself. ``{image}`` numbers files of one image, ``{file}`` files of several. Identity is in the name, never in a time stamp.
"""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from operando.errors import ProfileError

GRAIN_S = 3.0
"""How coarse the times of folders may be: two seconds on FAT and some shares."""

_MARK = re.compile(r"\{(series|image|file)\}|\*")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class FrameName:
    """What the name of a file says."""

    series: int
    number: int
    """Number of the image or file; 0 where all images of a series are in one file."""


class FrameNames:
    """A template of file names.

    Parameters
    ----------
    template
        An absolute path with marks.
    series
        The series of files whose template has no ``{series}``.

    Raises
    ------
    ProfileError
        If a mark stands twice, or nothing tells one file from another.
    """

    def __init__(self, template: str, *, series: int = 0) -> None:
        self.template = template
        self._series = series
        parts = PurePosixPath(template).parts
        marked = next((k for k, part in enumerate(parts) if _MARK.search(part)), len(parts) - 1)
        self.root = Path(*parts[:marked])
        """The part of the path that all files share."""
        names = [found[1] for part in parts for found in _MARK.finditer(part) if found[1]]
        if len(set(names)) != len(names) or {"image", "file"} <= set(names):
            raise ProfileError(f"template {template!r}: each of {{series}}, and {{image}} or {{file}}, may stand once")
        if any("{" in _MARK.sub("", part) for part in parts):
            raise ProfileError(f"template {template!r}: only {{series}}, {{image}}, {{file}} and * are known")
        self._parts = [re.compile(_regex(part)) for part in parts[marked:]]
        self.has_images = "image" in names
        """Whether each file holds one image."""

    def name_of(self, path: Path | str) -> FrameName | None:
        """Give what the name of a file says; None if it is no file of the template. A relative path is taken from the end."""
        parts = PurePosixPath(path).parts
        wanted = self._parts
        if PurePosixPath(path).is_absolute():
            n_root = len(self.root.parts)
            if parts[:n_root] != self.root.parts or len(parts) != n_root + len(wanted):
                return None
            parts = parts[n_root:]
        elif len(parts) > len(wanted):
            return None
        else:
            wanted = wanted[len(wanted) - len(parts) :]
        found = [part.fullmatch(text) for part, text in zip(wanted, parts, strict=True)]
        return None if any(match is None for match in found) else self._name([match for match in found if match])

    def files(self, folder: "Listing") -> Iterator[tuple[FrameName, Path]]:
        """Give the files of folders that have changed since they were listed last."""
        yield from self._files(self.root, 0, [], folder)

    def _files(
        self, at: Path, level: int, matches: list[re.Match[str]], listing: "Listing"
    ) -> Iterator[tuple[FrameName, Path]]:
        is_last = level == len(self._parts) - 1
        for entry in listing.entries(at, is_leaf=is_last):
            match = self._parts[level].fullmatch(entry)
            if match is None:
                continue
            if is_last:
                yield self._name([*matches, match]), at / entry
            else:
                yield from self._files(at / entry, level + 1, [*matches, match], listing)

    def _name(self, matches: list[re.Match[str]]) -> FrameName:
        fields = {name: int(value) for match in matches for name, value in match.groupdict().items()}
        return FrameName(series=fields.get("series", self._series), number=fields.get("image", fields.get("file", 0)))


class Listing:
    """Lists folders, the unchanged ones not again; folders of a hundred thousand files are slow to list.

    Parameters
    ----------
    clock
        Monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[Path, tuple[int, float]] = {}
        self._names: dict[Path, list[str]] = {}

    def entries(self, folder: Path, *, is_leaf: bool) -> list[str]:
        """Give the names in a folder, ascending; of a leaf that has not changed nothing, as it was all given before."""
        try:
            stamp = folder.stat().st_mtime_ns
            if self._is_settled(folder, stamp):
                return [] if is_leaf else self._names.get(folder, [])
            # Objects for each name would take ten times as long; hidden files are other programs' unfinished ones.
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208
        except OSError:
            # Absent, not a folder, or its share does not answer now: the next look will tell.
            return []
        if not is_leaf:
            self._names[folder] = names
        return names

    def _is_settled(self, folder: Path, stamp: int) -> bool:
        """Tell whether a folder was listed after its time had stood still for longer than the grain of that time."""
        last_stamp, since = self._seen.get(folder, (-1, 0.0))
        if stamp != last_stamp:
            self._seen[folder] = stamp, self._clock()
            return False
        return self._clock() - since > GRAIN_S


def _regex(part: str) -> str:
    found, end = "", 0
    for mark in _MARK.finditer(part):
        found += re.escape(part[end : mark.start()])
        found += f"(?P<{mark[1]}>[0-9]+)" if mark[1] else ".*"
        end = mark.end()
    return found + re.escape(part[end:])
