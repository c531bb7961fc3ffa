"""What napari finds in operando: a widget that joins a running scan, and a reader that opens the maps of a finished one."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFormLayout, QLabel, QLineEdit, QPushButton, QWidget

from operando.errors import OperandoError
from operando.messages import MapPublished
from operando.profile import Addresses
from viewer.app import check_address
from viewer.colormaps import colour_table
from viewer.layers import title
from viewer.mailbox import Receiver
from viewer.replay import entries_from_archive

if TYPE_CHECKING:
    import napari

    from viewer.window import Monitor

LayerData = tuple[Any, dict[str, Any], str]


class Connector(QWidget):
    """Asks for the address of the results and turns the napari window that it stands in into a monitor."""

    def __init__(self, viewer: "napari.Viewer") -> None:
        super().__init__()
        self.monitor: Monitor | None = None
        self._viewer = viewer
        self._address = QLineEdit(Addresses().results)
        self._complaint = QLabel()
        self._complaint.setWordWrap(True)
        button = QPushButton("Watch")
        button.clicked.connect(self.connect_monitor)
        layout = QFormLayout(self)
        layout.addRow("results", self._address)
        layout.addRow(button)
        layout.addRow(self._complaint)

    def connect_monitor(self) -> None:
        """Start to watch; once in a window."""
        from viewer.window import Monitor

        try:
            address = check_address(self._address.text().strip())
        except OperandoError as wrong:
            self._complaint.setText(str(wrong))
            return
        self._complaint.setText("")
        if self.monitor is None:
            self.monitor = Monitor(self._viewer, Receiver(address))
            self.setEnabled(False)


def make_connector(napari_viewer: "napari.Viewer") -> Connector:
    """Give the widget for a napari window."""
    return Connector(napari_viewer)


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Give the reader if the path is an archive of operando, None for other programs' NeXus files."""
    try:
        entries_from_archive(Path(path if isinstance(path, str) else path[0]))
    except OperandoError:
        return None
    return read_maps


def read_maps(path: str | list[str]) -> list[LayerData]:
    """Give the maps of archives as layers in millimetres; the first of each file is shown."""
    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        maps = [entry for entry in entries_from_archive(Path(one)) if isinstance(entry.message, MapPublished)]
        layers += [(entry.arrays["value"], _layer(entry.message, is_shown=entry is maps[0]), "image") for entry in maps]
    return layers


def _layer(message: Any, *, is_shown: bool) -> dict[str, Any]:
    from napari.utils.colormaps import Colormap

    # napari counts rows downwards; a mirrored scale lets y grow upwards without touching the user's camera.
    return {
        "name": title(message),
        "colormap": Colormap(colour_table(message.colormap), name=message.colormap),
        "contrast_limits": (message.low, message.high),
        "scale": (-message.pixel_mm, message.pixel_mm),
        "translate": (-message.y_first_mm, message.x_first_mm),
        "units": ("mm", "mm"),
        "blending": "translucent",
        "visible": is_shown,
    }
