"""Any message, from JSON."""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from operando.messages.asking import Refused, RegionAnswered, RegionAsked, ServicesOffered
from operando.messages.commands import Action as Action
from operando.messages.commands import CommandAnswered as CommandAnswered
from operando.messages.commands import CommandGiven as CommandGiven
from operando.messages.commands import ScanState as ScanState
from operando.messages.journal import (
    CellReading,
    Document,
    LineAborted,
    LineAnnounced,
    LineFlown,
    Notice,
    PlanEnded,
    RunStarted,
    RunStopped,
)
from operando.messages.message import Count as Count
from operando.messages.message import Finite as Finite
from operando.messages.message import IdRange as IdRange
from operando.messages.message import Message as Message
from operando.messages.message import Name as Name
from operando.messages.message import Text as Text
from operando.messages.results import MapPublished, PatternPublished, ScanProgress, SinogramPublished, TrendPublished
from operando.messages.steering import SteeringAnswered as SteeringAnswered
from operando.messages.steering import SteeringAsked as SteeringAsked
from operando.messages.stream import CakePreview, FrameGeometry, FramePreview, LineWritten, StreamStatus

AnyMessage = Annotated[
    CellReading
    | RunStarted
    | LineAnnounced
    | LineFlown
    | LineAborted
    | RunStopped
    | PlanEnded
    | Document
    | Notice
    | StreamStatus
    | FramePreview
    | FrameGeometry
    | CakePreview
    | LineWritten
    | MapPublished
    | SinogramPublished
    | PatternPublished
    | TrendPublished
    | ScanProgress
    | ServicesOffered
    | RegionAsked
    | RegionAnswered
    | CommandGiven
    | CommandAnswered
    | ScanState
    | SteeringAsked
    | SteeringAnswered
    | Refused,
    Field(discriminator="kind"),
]


_ADAPTER: TypeAdapter[Any] = TypeAdapter(AnyMessage)


def message_from_json(value: object) -> Message:
    """Give the message that a decoded JSON object stands for.

    Raises
    ------
    pydantic.ValidationError
        If the kind, the version or a field is not one that this program knows.
    """
    message: Message = _ADAPTER.validate_python(value, strict=False)
    return message
