"""Whether the arrays of a message fit it and each other: what does not is refused with a sentence before anything is drawn."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from operando.errors import DataError
from operando.messages import (
    CakePreview,
    FrameGeometry,
    FramePreview,
    MapPublished,
    Message,
    PatternPublished,
    RegionAnswered,
    ServicesOffered,
    SinogramPublished,
)

ADDRESS = re.compile(r"tcp://[^:/\s]+:\d{1,5}|ipc://\S+|inproc://\S+")
"""Where a feed or answers can be served."""

M = TypeVar("M", bound=Message)
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shown(Generic[M]):
    """A message with its arrays, checked to fit each other."""

    message: M
    arrays: Arrays


def checked_map(message: MapPublished, arrays: Arrays) -> Shown[MapPublished]:
    """Check a map.

    Raises
    ------
    DataError
        If it has no value, its arrays disagree in shape, or its range is empty; so for each of these functions.
    """
    value = _array(message, arrays, "value", n_dim=2)
    for name in ("sigma", "reason"):
        if name in arrays and _array(message, arrays, name, n_dim=2).shape != value.shape:
            raise DataError(f"map {message.name!r} has shape {value.shape}, its {name} {arrays[name].shape}: they must agree")
    if message.low >= message.high:
        raise DataError(f"map {message.name!r} declares the range {message.low} to {message.high}: it must be ascending")
    return Shown(message=message, arrays=dict(arrays))


def checked_services(message: ServicesOffered) -> ServicesOffered:
    """Check that questions and commands are offered at addresses, or nowhere."""
    for address in (message.questions, message.commands):
        if address and not ADDRESS.fullmatch(address):
            raise DataError(
                f"{address!r} is offered for questions or commands, and is no address: write it like tcp://HOST:PORT"
            )
    return message


def checked_sinogram(message: SinogramPublished, arrays: Arrays) -> Shown[SinogramPublished]:
    """Check a sinogram."""
    sinogram = _array(message, arrays, "sinogram", n_dim=2)
    if len(sinogram) != len(message.angles_deg):
        raise DataError(f"sinogram {message.name!r} has {len(sinogram)} rows for {len(message.angles_deg)} angles")
    if message.step_mm <= 0:
        raise DataError(f"sinogram {message.name!r} has a step of {message.step_mm} mm: it must be positive")
    return Shown(message=message, arrays=dict(arrays))


def checked_pattern(message: PatternPublished, arrays: Arrays) -> Shown[PatternPublished]:
    """Check a pattern."""
    q = _array(message, arrays, "q", n_dim=1)
    for name in ("intensity", "fit"):
        if name == "intensity" or name in arrays:
            _curve(message, arrays, name, q.size)
    return Shown(message=message, arrays=dict(arrays))


def checked_frame(message: FramePreview, arrays: Arrays) -> Shown[FramePreview]:
    """Check the preview of a frame."""
    image = _array(message, arrays, "image", n_dim=2)
    if not np.issubdtype(image.dtype, np.unsignedinteger):
        raise DataError(f"the preview of image {message.image_id} is {image.dtype}, expected unsigned counts")
    return Shown(message=message, arrays=dict(arrays))


def checked_geometry(message: FrameGeometry, arrays: Arrays) -> Shown[FrameGeometry]:
    """Check where the pixels of previews are."""
    _array(message, arrays, "q", n_dim=2)
    return Shown(message=message, arrays=dict(arrays))


def checked_cake(message: CakePreview, arrays: Arrays) -> Shown[CakePreview]:
    """Check a frame over azimuth and q."""
    _array(message, arrays, "cake", n_dim=2)
    return Shown(message=message, arrays=dict(arrays))


def checked_answer(message: RegionAnswered, arrays: Arrays) -> Shown[RegionAnswered]:
    """Check the pattern of a region."""
    q = _array(message, arrays, "q", n_dim=1)
    for name in ("intensity", "sigma", "fit", "background"):
        _curve(message, arrays, name, q.size)
    phases = arrays.get("phases", np.empty((0, 0)))
    if phases.shape != (len(message.phases), q.size):
        raise DataError(
            f"the answer names {len(message.phases)} phases for {q.size} q values, its array has shape {phases.shape}"
        )
    return Shown(message=message, arrays=dict(arrays))


def _curve(message: Message, arrays: Arrays, name: str, n_q: int) -> None:
    curve = _array(message, arrays, name, n_dim=1)
    if curve.size != n_q:
        raise DataError(f"a {type(message).__name__} has {n_q} q values and {curve.size} of {name}")


def _array(message: Message, arrays: Arrays, name: str, *, n_dim: int) -> NDArray[Any]:
    found = arrays.get(name)
    if found is None:
        raise DataError(f"a {type(message).__name__} came without its array {name!r}: the sender is at fault")
    if found.ndim != n_dim or found.size == 0:
        raise DataError(f"array {name!r} of a {type(message).__name__} has shape {found.shape}, expected {n_dim} axes")
    if found.dtype.kind not in "fiub":
        raise DataError(f"array {name!r} of a {type(message).__name__} has the type {found.dtype}, expected real numbers")
    return found
