"""The plans by name. Each gives its programme: the dry run rehearses it, a station flies it (:mod:`acquisition.plans.bound`).

Every argument has a unit in its name; one that is None is the profile's.
"""

from acquisition.plans.catalogue.arguments import CellPlace as CellPlace
from acquisition.plans.catalogue.arguments import Count as Count
from acquisition.plans.catalogue.arguments import Finite as Finite
from acquisition.plans.catalogue.arguments import Positive as Positive
from acquisition.plans.catalogue.arguments import Seconds as Seconds
from acquisition.plans.catalogue.arguments import Several as Several
from acquisition.plans.catalogue.places import beam_damage as beam_damage
from acquisition.plans.catalogue.places import multi_cell as multi_cell
from acquisition.plans.catalogue.places import point_against_time as point_against_time
from acquisition.plans.catalogue.places import single_line as single_line
from acquisition.plans.catalogue.setting_up import air_and_transmission as air_and_transmission
from acquisition.plans.catalogue.setting_up import align as align
from acquisition.plans.catalogue.setting_up import calibrate as calibrate
from acquisition.plans.catalogue.setting_up import dark as dark
from acquisition.plans.catalogue.setting_up import sign_test as sign_test
from acquisition.plans.catalogue.table import CATALOGUE as CATALOGUE
from acquisition.plans.catalogue.table import arguments_of as arguments_of
from acquisition.plans.catalogue.table import make_programme as make_programme
from acquisition.plans.catalogue.table import programme_of as programme_of
from acquisition.plans.catalogue.tomograms import continuous_rotation as continuous_rotation
from acquisition.plans.catalogue.tomograms import densify as densify
from acquisition.plans.catalogue.tomograms import series as series
from acquisition.plans.catalogue.tomograms import slice_stack as slice_stack
from acquisition.plans.catalogue.tomograms import sparse_series as sparse_series
from acquisition.plans.catalogue.tomograms import steered as steered
from acquisition.plans.catalogue.tomograms import xrdct as xrdct
