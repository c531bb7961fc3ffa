"""A picture of the whole window as a PNG, complete or not at all."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from operando.errors import ServiceError

if TYPE_CHECKING:
    import napari


def picture_of(viewer: "napari.Viewer") -> NDArray[np.uint8]:
    """Give the window as it is on the screen, shape (rows, columns, 4), red green blue alpha.

    Raises
    ------
    ServiceError
        If the canvas came out in one colour although it should show something: OpenGL draws nothing on this screen.
    """
    canvas = np.asarray(viewer.screenshot(canvas_only=True, flash=False))
    if any(layer.visible for layer in viewer.layers) and not np.ptp(canvas[..., :3], axis=(0, 1)).any():
        raise ServiceError("OpenGL draws nothing on this screen: use Qt's xcb platform and Mesa's software OpenGL")
    return np.asarray(viewer.screenshot(canvas_only=False, flash=False))


def write_snapshot(viewer: "napari.Viewer", path: Path) -> None:
    """Write the window's picture under a temporary name, then give it its own."""
    import imageio.v3 as imageio

    picture = picture_of(viewer)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    imageio.imwrite(temporary, picture[..., :3], extension=".png")
    temporary.replace(path)
