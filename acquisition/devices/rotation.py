"""The rotation stage: an axis in degrees."""

from acquisition.devices.axis import Axis


class Rotation(Axis):
    """The stage that turns the sample between lines; positive as the profile counts it."""
