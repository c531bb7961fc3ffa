"""A beamline and an experiment as data: ``profiles/<name>/profile.toml`` read once into a frozen model.

Nothing else reads the file. Unknown keys are refused, and every complaint names the key. Paths inside a profile are relative
to its folder. A profile may say ``extends = "NAME"``: its keys then stand over those of the other, table by table, but for the
tables that it names in ``without``.
"""

from operando.profile.cell import Cell as Cell
from operando.profile.cell import CellLimits as CellLimits
from operando.profile.cell import Quantity as Quantity
from operando.profile.control import Axis as Axis
from operando.profile.control import Control as Control
from operando.profile.control import Listen as Listen
from operando.profile.control import Scan as Scan
from operando.profile.control import TableColumn as TableColumn
from operando.profile.detector import Detector as Detector
from operando.profile.detector import FrameFolder as FrameFolder
from operando.profile.detector import Geometry as Geometry
from operando.profile.detector import Integration as Integration
from operando.profile.files import complaints as complaints
from operando.profile.files import find_profile as find_profile
from operando.profile.files import profiles_folder as profiles_folder
from operando.profile.files import read_profile as read_profile
from operando.profile.files import write_profile as write_profile
from operando.profile.model import Addresses as Addresses
from operando.profile.model import Profile as Profile
from operando.profile.model import Queue as Queue
from operando.profile.sample import Phase as Phase
from operando.profile.sample import Reconstruction as Reconstruction
from operando.profile.section import Section as Section
from operando.profile.twin import Effects as Effects
from operando.profile.twin import Twin as Twin
from operando.profile.twin import Winding as Winding
