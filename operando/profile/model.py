"""The whole profile, and the addresses of the processes."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from operando.profile.cell import Cell, CellLimits
from operando.profile.control import Control, Listen, Scan
from operando.profile.correction import Correction
from operando.profile.detector import Detector, Geometry, Integration
from operando.profile.refinement import Refinement
from operando.profile.sample import Phase, Reconstruction
from operando.profile.section import Section, TcpAddress
from operando.profile.surroundings import Dose, SignPin
from operando.profile.twin import Twin


class Addresses(Section):
    """Where the three feeds are served, and where questions and commands are taken."""

    journal: TcpAddress = "tcp://127.0.0.1:24101"
    reduction: TcpAddress = "tcp://127.0.0.1:24102"
    results: TcpAddress = "tcp://127.0.0.1:24103"
    questions: TcpAddress = "tcp://127.0.0.1:24105"
    """Answered by the analysis: patterns of voxels."""
    commands: TcpAddress = "tcp://127.0.0.1:24106"
    """Taken by the acquisition: start, pause, resume, abort."""


class Compute(Section):
    """What frames are integrated, maps reconstructed and profiles refined with."""

    device: Literal["cpu", "gpu", "auto"] = "cpu"
    """``gpu`` refuses to start without one, ``auto`` takes one where it is and says so."""


class Queue(Section):
    """The queue of plans (``operando start queue``)."""

    control: TcpAddress = "tcp://127.0.0.1:60615"
    """Where the queue server's own command line and other clients of it ask."""
    redis: str = ""
    """Host and port of a Redis, in which the queue outlives its process; empty keeps it in memory."""


class Profile(Section):
    """All that operando knows of a beamline and an experiment."""

    name: str
    description: str = ""
    detector: Detector
    geometry: Geometry
    integration: Integration
    control: Control
    scan: Scan
    phases: Annotated[list[Phase], Field(min_length=1)]
    reconstruction: Reconstruction = Reconstruction()
    correction: Correction = Correction()
    refinement: Refinement = Refinement()
    cell: Cell
    cell_limits: CellLimits = CellLimits()
    dose: Dose | None = None
    sign_pin: SignPin | None = None
    addresses: Addresses = Addresses()
    compute: Compute = Compute()
    queue: Queue = Queue()
    listen: Listen | None = None
    twin: Twin | None = None
    folder: Annotated[Path, Field(exclude=True)] = Path()
    """Where the profile was read; set by the reader, not a key of the file."""

    @model_validator(mode="after")
    def _phases_have_different_names(self) -> "Profile":
        names = [phase.name for phase in self.phases]
        if len(set(names)) != len(names):
            raise ValueError(f"phases must have different names, found {names}")
        return self

    @model_validator(mode="after")
    def _watched_have_different_names(self) -> "Profile":
        names = [watched.name for watched in self.control.watched]
        if len(set(names)) != len(names):
            raise ValueError(f"control.watched must have different names, found {names}")
        return self

    @model_validator(mode="after")
    def _listening_has_a_table(self) -> "Profile":
        if self.control.mode == "listen" and self.listen is None:
            raise ValueError('control.mode "listen" needs the section listen with its table')
        return self

    def path(self, relative: Path) -> Path:
        """Give the place of a file that the profile names."""
        return (self.folder / relative.expanduser()).resolve()
