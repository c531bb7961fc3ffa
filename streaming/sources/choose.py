"""Choose where the frames come from, as the profile says."""

import queue
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import h5py
import structlog

from operando.errors import DataError, MissingInputError, ProfileError
from operando.frame_names import FrameNames, Listing
from operando.profile import Profile
from streaming.account import IdSet
from streaming.arrival import Arrival
from streaming.events import Rejected
from streaming.receive import Receiver
from streaming.sources.cbf import CbfFiles
from streaming.sources.folder import FolderSource
from streaming.sources.frame_file import ReadsFrames, UnfinishedFileError
from streaming.sources.hdf5 import Hdf5Files

logger = structlog.get_logger(__name__)


class FrameSource(Protocol):
    """Puts what the detector says into a bounded queue, in its own thread, from the moment it is made."""

    def close(self) -> None:
        """Stop; what was read stays in the queue."""
        ...


def open_frames(
    profile: Profile,
    destination: "queue.Queue[Arrival]",
    *,
    lines: Path,
    limit_bytes: int,
    reject: Callable[[Rejected], None],
) -> FrameSource:
    """Open the profile's frame source.

    Parameters
    ----------
    destination
        Where messages go; when it is full, the source waits.
    lines
        Folder of the line files: images in them are not read from files again.
    limit_bytes
        Larger messages are refused.
    reject
        Takes what came to nothing.

    Raises
    ------
    MissingInputError
        If the folder of the files is absent.
    ProfileError
        If the template cannot be used.
    """
    detector = profile.detector
    if detector.source == "simplon" or detector.folder is None:
        return Receiver(
            detector.stream,
            destination,
            limit_bytes=limit_bytes,
            on_refused=lambda detail: reject(Rejected(reason="oversized message", detail=detail)),
        )
    root = FrameNames(detector.folder.template).root
    if not root.is_dir():
        raise MissingInputError(f"no folder {root}: correct detector.folder.template, or mount the detector's share")
    return FolderSource(detector.folder, reader_for(profile), destination, known=images_in_line_files(lines), reject=reject)


def describe_frames(profile: Profile) -> str:
    """Say where the frames come from and, of files, what is there now.

    Raises
    ------
    OperandoError
        As :func:`open_frames`, or if the first file cannot be read.
    """
    detector = profile.detector
    if detector.source == "simplon" or detector.folder is None:
        return f"SIMPLON stream at {detector.stream}"
    names, reader = FrameNames(detector.folder.template, series=detector.folder.series), reader_for(profile)
    if not names.root.is_dir():
        raise MissingInputError(f"no folder {names.root}: correct detector.folder.template, or mount the detector's share")
    files = sorted(names.files(Listing()))
    if not files:
        return f"no file of {names.template} yet"
    name, path = files[0]
    try:
        shape = reader.read(path, skip=0).frames[0].facts.shape
    except UnfinishedFileError as unfinished:
        return f"{len(files)} files, the first is not whole yet: {unfinished}"
    if shape != (detector.n_rows, detector.n_columns):
        wanted = f"{detector.n_rows} x {detector.n_columns}"
        raise DataError(f"{path} has {shape[0]} x {shape[1]} pixels, the profile {wanted}: check detector.folder.template")
    return f"{len(files)} files, the first is {path.name}: series {name.series}, number {name.number}"


def reader_for(profile: Profile) -> ReadsFrames:
    """Give the reader for the files of a profile by the ending of their template.

    Raises
    ------
    ProfileError
        If there is none.
    """
    folder = profile.detector.folder
    template = folder.template if folder else ""
    match Path(template).suffix.lower():
        case ".cbf":
            return CbfFiles()
        case ".h5" | ".hdf5" | ".nxs" | ".hdf":
            shape = (profile.detector.n_rows, profile.detector.n_columns)
            return Hdf5Files(shape=shape, dataset=folder.dataset if folder else "")
        case ending:
            known = ".cbf, .h5, .hdf5, .hdf and .nxs"
            raise ProfileError(f"detector.folder.template: files that end in {ending!r} are not known; known are {known}")


def images_in_line_files(lines: Path) -> dict[int, IdSet]:
    """Give the image ids by series that stand in line files; a damaged file has none."""
    found: dict[int, IdSet] = {}
    for path in sorted(lines.glob("*/*.h5")):
        try:
            with h5py.File(path, "r") as file:
                series, first = int(file["entry/series"][()]), int(file["entry/first_image_id"][()])
                received = file["entry/patterns/is_received"][()]
        except (OSError, KeyError) as damaged:
            logger.warning("line file unreadable", path=str(path), reason=str(damaged))
            continue
        for index in received.nonzero()[0].tolist():
            found.setdefault(series, IdSet()).add(first + index)
    return found
