"""The hexapod: six axes, one platform; what it can reach is not a box."""

from collections.abc import Mapping
from typing import Any

from ophyd import Component, Device
from ophyd.device import create_device_from_components
from ophyd.utils import LimitError

from acquisition.devices.axis import Axis
from acquisition.workspace import Workspace
from operando.profile import Control


class HexapodAxis(Axis):
    """One axis of a hexapod: it also refuses what lies within its own limits but outside the platform's reach.

    All axes share one moving flag and one platform velocity: writing the speed of one changes that of all.
    """

    def check_value(self, pos: float) -> None:
        """Check limits and reach; raises ``LimitError`` before anything is put."""
        super().check_value(pos)
        if isinstance(self.parent, Hexapod):
            self.parent.check_pose({self.attr_name: pos})


class Hexapod(Device):
    """The platform that carries the sample.

    Parameters
    ----------
    workspace
        What the platform reaches; None leaves the question to the controller.
    """

    def __init__(self, prefix: str = "", *, workspace: Workspace | None, **kwargs: Any) -> None:
        super().__init__(prefix, **kwargs)
        self.workspace = workspace

    @property
    def axes(self) -> dict[str, HexapodAxis]:
        """The axes by name, for instance ``z``."""
        return {name: getattr(self, name) for name in self.component_names}

    def pose(self) -> dict[str, float]:
        """Give the demanded position of each axis, mm and degree."""
        return {name: float(axis.user_setpoint.get()) for name, axis in self.axes.items()}

    def check_pose(self, change: Mapping[str, float]) -> None:
        """Refuse a change of the demanded pose that the platform cannot reach.

        Raises
        ------
        ophyd.utils.LimitError
            With the reach found and wanted.
        """
        if self.workspace is None:
            return
        pose = {**self.pose(), **change}
        complaint = self.workspace.complaint(pose)
        if complaint:
            raise LimitError(f"{self.name}: {complaint}")

    def stop(self, *, success: bool = False) -> None:
        """Stop the platform; one axis stops all."""
        for axis in self.axes.values():
            axis.stop(success=success)


def make_hexapod(control: Control, *, name: str = "hexapod") -> Hexapod | None:
    """Make the hexapod that a profile names, or give None where there is none."""
    if not control.hexapod_axes:
        return None
    # The reach is checked to far better than any axis of it needs; the fast axis has its own tolerance in the profile.
    components = {
        axis.lower(): Component(HexapodAxis, pv, tolerance=control.fast.tolerance, kind="normal")
        for axis, pv in control.hexapod_axes.items()
    }
    made = create_device_from_components("ProfileHexapod", base_class=Hexapod, **components)
    return made("", name=name, workspace=Workspace.of(control), labels={"baseline"})
