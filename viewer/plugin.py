"""What napari finds in operando: a widget that shows a scan, running or finished, a reader for its maps, and samples to try."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog, QFormLayout, QLabel, QLineEdit, QPushButton, QWidget

from operando.errors import OperandoError
from operando.messages import MapPublished
from operando.profile import Addresses
from viewer.app import check_address
from viewer.colormaps import napari_colormap, offer_in_napari
from viewer.export import describe
from viewer.layers import title
from viewer.mailbox import Receiver
from viewer.replay import entries_from_archive, entries_from_archives
from viewer.sample import lithium, write_sample
from viewer.scan_file import read_scan

if TYPE_CHECKING:
    import napari

    from viewer.comparison import OracleOf
    from viewer.window import Monitor

LayerData = tuple[Any, dict[str, Any], str]

N_CHARGE_SCANS = 10


class Connector(QWidget):
    """Asks for an address or a file, and turns the napari window that it stands in into a monitor of it."""

    oracle_of: "OracleOf | None" = None
    """Who answers questions about files; whoever wires the widget says so."""

    def __init__(self, napari_viewer: "napari.Viewer") -> None:
        # napari looks for a class and for this very name of the argument.
        super().__init__()
        self.monitor: Monitor | None = None
        # A plugin gets a proxy whose docks are proxies, too; Qt wants the docks themselves. This is wrapt's name for it.
        self._viewer: napari.Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._source = QLineEdit(Addresses().results)
        self._source.setMinimumWidth(200)
        self._source.setToolTip("tcp://HOST:PORT where results are served, or the path of a scan.nxs")
        self._source.returnPressed.connect(self.connect_monitor)
        self._complaint = QLabel()
        self._complaint.setWordWrap(True)
        choose, show = QPushButton("Choose a file…"), QPushButton("Show")
        choose.clicked.connect(self._choose)
        show.clicked.connect(self.connect_monitor)
        layout = QFormLayout(self)
        layout.addRow("results or file", self._source)
        layout.addRow(choose)
        layout.addRow(show)
        layout.addRow(self._complaint)

    @property
    def complaint(self) -> str:
        """Why nothing could be shown; empty if it could."""
        return str(self._complaint.text())

    def ask_for(self, source: str) -> None:
        """Write an address or a path as if the user had typed it."""
        self._source.setText(source)

    def connect_monitor(self) -> None:
        """Start to show; once in a window."""
        from viewer.window import Monitor

        if self.monitor is not None:
            return
        source = self._source.text().strip()
        try:
            if source.endswith(".nxs"):
                files = [Path(source)]
                entries, receiver = entries_from_archives(files), None
            else:
                files, entries, receiver = [], [], Receiver(check_address(source))
        except OperandoError as wrong:
            self._complaint.setText(str(wrong))
            return
        self._complaint.setText("")
        offer_in_napari()
        self.monitor = Monitor(self._viewer, receiver, files=files, oracle_of=self.oracle_of)
        self.monitor.feed(entries)
        self.setEnabled(False)

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "A finished scan", "", "scans (*.nxs)")
        if path:
            self.ask_for(path)
            self.connect_monitor()


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Give the reader if the path is an archive of operando, None for other programs' NeXus files."""
    try:
        entries_from_archive(Path(path if isinstance(path, str) else path[0]))
    except OperandoError:
        return None
    return read_maps


def read_maps(path: str | list[str]) -> list[LayerData]:
    """Give the maps of archives as layers in millimetres; the first of each file is shown, and is last: on top, and chosen."""
    offer_in_napari()
    layers: list[LayerData] = []
    for one in [path] if isinstance(path, str) else path:
        maps = read_scan(Path(one)).maps
        layers += [(shown.arrays["value"], _layer(shown.message, is_shown=shown is maps[0]), "image") for shown in maps[::-1]]
    return layers


def sample_maps() -> list[LayerData]:
    """Give all maps of a phantom, through a file and the reader, as those of a real scan would come."""
    with tempfile.TemporaryDirectory(prefix="operando-sample-") as folder:
        path = Path(folder) / "scan.nxs"
        write_sample(path)
        return read_maps(str(path))


def sample_charge() -> list[LayerData]:
    """Give x in LixC6 of a phantom while it charges, as one layer with a slider over the scans."""
    data, keywords, kind = sample_maps()[-1]
    scans = np.stack([lithium(charge).astype(data.dtype) for charge in np.linspace(0.05, 0.95, N_CHARGE_SCANS)])
    stacked = {
        "scale": (1.0, *keywords["scale"]),
        "translate": (0.0, *keywords["translate"]),
        "units": ("pixel", *keywords["units"]),
        "axis_labels": ("scan", *keywords["axis_labels"]),
    }
    return [(scans, {**keywords, **stacked}, kind)]


def _layer(message: MapPublished, *, is_shown: bool) -> dict[str, Any]:
    # napari counts rows downwards. In a window of operando the camera looks with y up; in any other a mirrored scale lets
    # y grow upwards without touching the user's camera.
    y_sign = 1 if _camera_looks_up() else -1
    return {
        "name": title(message),
        "colormap": napari_colormap(message.colormap),
        "contrast_limits": (message.low, message.high),
        "scale": (y_sign * message.pixel_mm, message.pixel_mm),
        "translate": (y_sign * message.y_first_mm, message.x_first_mm),
        "units": ("mm", "mm"),
        "axis_labels": ("y", "x"),
        "interpolation2d": "nearest",
        "blending": "translucent",
        "visible": is_shown,
        "metadata": {"operando": describe(message)},
    }


def _camera_looks_up() -> bool:
    import napari

    viewer = napari.current_viewer()
    return viewer is not None and str(viewer.scene.camera.orientation2d[0]) == "up"
