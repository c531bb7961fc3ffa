"""The messages that cross process boundaries: versioned, frozen, bounded, with a golden example each.

Times are seconds since the Unix epoch (``_s``), lengths along the axes are mm, angles degrees. Arrays never stand inside a
message: they travel beside it, named (see :mod:`operando.bus.entry`), and each class states which arrays it carries.
A receiver refuses unknown keys and unknown versions; a changed meaning is a new version.
"""

from operando.messages.asking import PhaseShare as PhaseShare
from operando.messages.asking import Refused as Refused
from operando.messages.asking import RegionAnswered as RegionAnswered
from operando.messages.asking import RegionAsked as RegionAsked
from operando.messages.asking import ServicesOffered as ServicesOffered
from operando.messages.commands import Action as Action
from operando.messages.commands import CommandAnswered as CommandAnswered
from operando.messages.commands import CommandGiven as CommandGiven
from operando.messages.commands import ScanState as ScanState
from operando.messages.journal import CellReading as CellReading
from operando.messages.journal import Document as Document
from operando.messages.journal import LineAborted as LineAborted
from operando.messages.journal import LineAnnounced as LineAnnounced
from operando.messages.journal import LineFlown as LineFlown
from operando.messages.journal import Notice as Notice
from operando.messages.journal import PlanEnded as PlanEnded
from operando.messages.journal import RunStarted as RunStarted
from operando.messages.journal import RunStopped as RunStopped
from operando.messages.message import Count as Count
from operando.messages.message import Finite as Finite
from operando.messages.message import IdRange as IdRange
from operando.messages.message import Message as Message
from operando.messages.message import Name as Name
from operando.messages.message import Text as Text
from operando.messages.reading import AnyMessage as AnyMessage
from operando.messages.reading import message_from_json as message_from_json
from operando.messages.results import MapPublished as MapPublished
from operando.messages.results import PatternPublished as PatternPublished
from operando.messages.results import ScanProgress as ScanProgress
from operando.messages.results import SinogramPublished as SinogramPublished
from operando.messages.results import TrendPublished as TrendPublished
from operando.messages.steering import SteeringAnswered as SteeringAnswered
from operando.messages.steering import SteeringAsked as SteeringAsked
from operando.messages.stream import CakePreview as CakePreview
from operando.messages.stream import FrameGeometry as FrameGeometry
from operando.messages.stream import FramePreview as FramePreview
from operando.messages.stream import LineWritten as LineWritten
from operando.messages.stream import StreamStatus as StreamStatus
