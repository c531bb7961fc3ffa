"""What the reduction tells of images and lines."""

from typing import Annotated, Literal

from pydantic import Field

from operando.messages.commands import Action as Action
from operando.messages.commands import CommandAnswered as CommandAnswered
from operando.messages.commands import CommandGiven as CommandGiven
from operando.messages.commands import ScanState as ScanState
from operando.messages.message import Count as Count
from operando.messages.message import Finite as Finite
from operando.messages.message import IdRange as IdRange
from operando.messages.message import Message as Message
from operando.messages.message import Name as Name
from operando.messages.message import Text as Text
from operando.messages.steering import SteeringAnswered as SteeringAnswered
from operando.messages.steering import SteeringAsked as SteeringAsked


class StreamStatus(Message):
    """What the receiver has seen of the detector stream, as of now."""

    kind: Literal["stream_status"] = "stream_status"
    time_s: Finite
    series: Count | None
    frames_received: Count
    frames_duplicated: Count
    frames_rejected: dict[str, Count]
    """Rejected messages by reason."""
    frames_unannounced: Count
    """Frames held whose line nobody has announced (yet)."""
    missing_ids: Annotated[list[tuple[Count, Count, Count]], Field(max_length=10_000)]
    """(series, first, last) of every stretch known to be missing in finished lines or series."""
    frames_missing: Count
    queue_depth: Count
    queue_capacity: Count
    frames_per_s: Annotated[float, Field(ge=0)]


class FramePreview(Message):
    """The newest detector frame, reduced in size. Array ``image``: (rows, columns), uint32, counts; masked at the maximum."""

    kind: Literal["frame_preview"] = "frame_preview"
    time_s: Finite
    series: Count
    image_id: Count
    binning: Annotated[int, Field(ge=1)]
    """Edge of the square of detector pixels whose largest unmasked value one preview pixel shows."""
    n_saturated: Count


class FrameGeometry(Message):
    """Where the pixels of frame previews are.

    Array ``q``: (rows, columns) of a preview, float32, 1/angstrom.
    """

    kind: Literal["frame_geometry"] = "frame_geometry"
    binning: Annotated[int, Field(ge=1)]
    geometry_sha256: Text = ""
    time_s: Finite


class CakePreview(Message):
    """A detector frame over azimuth and q, at most once a second.

    Array ``cake``: (azimuth, q), float32, photons per pixel; NaN where no pixel is.
    """

    kind: Literal["cake_preview"] = "cake_preview"
    time_s: Finite
    series: Count
    image_id: Count
    eta_first_deg: Finite
    """Centre of the first bin of azimuth around the beam: 0 where the column number grows, 90 where the row number grows."""
    eta_step_deg: Annotated[float, Field(gt=0)]
    q_first: Finite
    """Centre of the first bin, 1/angstrom."""
    q_step: Annotated[float, Field(gt=0)]


class LineWritten(Message):
    """A line file is on disk, complete as far as it will ever be."""

    kind: Literal["line_written"] = "line_written"
    run: Name
    line: Count
    attempt: Count
    path: Annotated[str, Field(max_length=4096)]
    n_points: Count
    n_received: Count
    missing_ids: Annotated[list[IdRange], Field(max_length=100_000)]
    series: Count
    last_frame_s: Finite
    time_s: Finite
