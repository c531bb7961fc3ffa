"""The mouse on the maps: click pins a voxel, Shift keeps the others; Shift and drag draws a region, Ctrl and drag a line.

A plain drag stays napari's: it moves the map.
"""

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from viewer.beside import beside_text
from viewer.pins import Place, voxels_inside
from viewer.session import Session
from viewer.words import voxel_text

if TYPE_CHECKING:
    import napari

_CLICK_PX = 4
"""A mouse that moved less between press and release has clicked."""


class Pointer:
    """Turns what the mouse does on the canvas into pins.

    Parameters
    ----------
    viewer
        The napari viewer.
    session
        Whose pins they are.
    focus
        Gives the machine name of the map that is in front; None without one.
    """

    def __init__(self, viewer: "napari.Viewer", session: Session, focus: Callable[[], str | None]) -> None:
        self._viewer, self._session, self._focus = viewer, session, focus
        viewer.mouse_drag_callbacks.append(self._on_press)

    def close(self) -> None:
        """Listen to the mouse no more."""
        if self._on_press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def pick(self, place: Place, *, keep: bool = False) -> bool:
        """Pin the voxel at a place; false if there is none."""
        return self.pick_region([place], keep=keep)

    def pick_region(self, path: list[Place], *, keep: bool = False) -> bool:
        """Pin the voxels inside a path; false if there are none."""
        stack = self._session.stacks.get(self._focus() or "")
        if stack is None:
            return False
        if len(path) == 1:
            voxels = np.zeros(stack.grid.shape, dtype=np.bool_)
            voxel = stack.grid.voxel(x_mm=path[0][0], y_mm=path[0][1])
            if voxel is not None:
                voxels[voxel] = True
        else:
            voxels = voxels_inside(stack.grid, path)
        if not voxels.any():
            return False
        self._session.pin(stack.grid, voxels, keep=keep)
        return True

    def _on_press(self, viewer: "napari.Viewer", event: Any) -> Generator[None, None, None]:
        if event.button != 1:
            return
        modifiers = {getattr(modifier, "name", str(modifier)) for modifier in event.modifiers}
        start, path = np.asarray(event.pos), [_place(event)]
        draws = bool(modifiers & {"Shift", "Control"})
        can_pan, viewer.scene.camera.mouse_pan = viewer.scene.camera.mouse_pan, not draws
        yield
        while event.type == "mouse_move":
            path.append(_place(event))
            yield
        viewer.scene.camera.mouse_pan = can_pan
        has_moved = np.abs(np.asarray(event.pos) - start).max() > _CLICK_PX
        if not has_moved:
            self.pick(path[0], keep="Shift" in modifiers)
        elif "Control" in modifiers:
            self._session.draw_line(path[0], path[-1])
        elif "Shift" in modifiers:
            self.pick_region(path, keep=True)


def under_the_mouse(session: Session, names: Sequence[str], event: Any) -> str:
    """Write what some maps say where the mouse is, and those of the scan beside."""
    x_mm, y_mm = _place(event)
    texts = [voxel_text(session.shown, name, x_mm=x_mm, y_mm=y_mm) for name in names]
    if session.beside is not None:
        texts += [beside_text(session.beside, name, x_mm=x_mm, y_mm=y_mm) for name in names]
    return "\n".join(text for text in texts if text)


def _place(event: Any) -> Place:
    return float(event.position[-1]), float(event.position[-2])
