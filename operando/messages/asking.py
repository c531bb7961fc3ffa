"""Questions to the analysis, and their answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

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


class ServicesOffered(Message):
    """Where questions are answered and commands are taken; empty where nobody does.

    The acquisition says in the journal where it takes commands, the analysis in the results where both is done.
    """

    kind: Literal["services_offered"] = "services_offered"
    questions: Annotated[str, Field(max_length=200)] = ""
    commands: Annotated[str, Field(max_length=200)] = ""
    time_s: Finite


class RegionAsked(Message):
    """A question for the mean pattern of some voxels of a tomogram, and for what the fit makes of it."""

    kind: Literal["region_asked"] = "region_asked"
    run: Name
    tomogram: Count = 0
    x_mm: Annotated[list[Finite], Field(min_length=1, max_length=20_000)]
    """Centres of the voxels, as many as in ``y_mm``."""
    y_mm: Annotated[list[Finite], Field(min_length=1, max_length=20_000)]


class PhaseShare(BaseModel):
    """What a fit says of one phase."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    label: Name
    amount: Finite
    """Mass density, in a unit common to all phases of a tomogram."""
    amount_sigma: Finite
    percent: Finite | None
    """Of the mass of all phases; None where there is no mass."""
    percent_sigma: Finite | None


class RegionAnswered(Message):
    """The mean pattern of a region and its fit.

    Arrays, float32: ``q`` (n,) 1/angstrom; ``intensity``, ``sigma``, ``fit``, ``background`` (n,); ``phases`` (n_phases, n),
    what each phase adds to the fit, in the order of :attr:`phases`.
    """

    kind: Literal["region_answered"] = "region_answered"
    run: Name
    tomogram: Count = 0
    estimator: Name
    unit: Annotated[str, Field(max_length=40)]
    n_voxels: Count
    n_lines: Count
    n_lines_expected: Count
    phases: Annotated[list[PhaseShare], Field(max_length=100)]
    reflections: dict[str, list[Finite]]
    x_lithium: Finite | None
    x_lithium_sigma: Finite | None
    misfit_percent: Finite | None
    """Weighted profile residual Rwp; None where nothing is measured."""
    time_s: Finite


class Refused(Message):
    """A question or command that cannot be answered, and why."""

    kind: Literal["refused"] = "refused"
    text: Text
