"""The seam to file formats: what a file of detector images gives, and what it is when it is not whole yet."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streaming.detector_message import Channel


class UnfinishedFileError(Exception):
    """A file is still being written, locked or not there for a moment; caught by the folder, which tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a file says of its detector; None where it does not."""

    shape: tuple[int, int]
    """Rows, columns."""
    pixel_m: tuple[float, float] | None = None
    """Height and width of a pixel."""
    energy_ev: float | None = None
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFrame:
    """One image of a file."""

    index: int
    """Place in the file, from 0."""
    channel: Channel
    facts: Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class FileFrames:
    """What is new in a file."""

    frames: list[FileFrame]
    is_finished: bool
    """Whether nothing more will come of it."""


class ReadsFrames(Protocol):
    """Reads files of one format; called from the folder's thread."""

    def read(self, path: Path, *, skip: int) -> FileFrames:
        """Give images from index ``skip`` on: some of them, in order, as many as there are and are reasonable at once.

        Raises
        ------
        UnfinishedFileError
            If there is none yet.
        DataError
            If it is not a file of this format, or its images are of no use; it will not be read again.
        """
        ...
