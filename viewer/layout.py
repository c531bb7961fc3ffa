"""Where the panels stand around the canvas: what is watched is in sight, what is asked about waits behind a tab."""

from itertools import pairwise
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTabBar, QTabWidget, QWidget

if TYPE_CHECKING:
    import napari

AREAS = {
    "operando": "top",
    "maps": "left",
    "last frame": "right",
    "caked frame": "right",
    "sinogram": "right",
    "control": "right",
    "cell": "bottom",
    "mean pattern": "bottom",
    "voxel": "bottom",
    "history": "bottom",
    "across": "bottom",
    "stages": "bottom",
}
"""Every dock by its name, and the side of the window that it begins on."""
_TABS = (("last frame", "caked frame"), ("sinogram", "control"), ("mean pattern", "voxel", "history", "across", "stages"))
"""Docks that share a place; the first of each is in front."""


def lay_out(viewer: "napari.Viewer", widgets: dict[str, QWidget]) -> dict[str, QDockWidget]:
    """Put widgets, named as in :data:`AREAS`, into docks of a napari window, and give the docks by name."""
    docks: dict[str, QDockWidget] = {
        name: viewer.window.add_dock_widget(widgets[name], name=name, area=area, add_vertical_stretch=False)
        for name, area in AREAS.items()
        if name in widgets
    }
    window: QMainWindow = docks["operando"].window()
    window.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.South)
    window.splitDockWidget(docks["last frame"], docks["sinogram"], Qt.Orientation.Vertical)
    window.splitDockWidget(docks["cell"], docks["mean pattern"], Qt.Orientation.Horizontal)
    for group in _TABS:
        present = [docks[name] for name in group if name in docks]
        for first, second in pairwise(present):
            window.tabifyDockWidget(first, second)
        present[0].raise_()
    for dock in window.findChildren(QDockWidget):
        if dock not in docks.values() and window.dockWidgetArea(dock) == Qt.DockWidgetArea.LeftDockWidgetArea:
            window.tabifyDockWidget(docks["maps"], dock)
    docks["maps"].raise_()
    docks["operando"].setTitleBarWidget(QWidget())
    horizontal, vertical = Qt.Orientation.Horizontal, Qt.Orientation.Vertical
    window.resizeDocks([docks["maps"], docks["last frame"]], [330, 440], horizontal)
    window.resizeDocks([docks["last frame"], docks["sinogram"]], [340, 240], vertical)
    window.resizeDocks([docks["cell"], docks["mean pattern"]], [800, 900], horizontal)
    window.resizeDocks([docks["cell"], docks["mean pattern"]], [265, 265], vertical)
    return docks


def hide_stale_tabs(window: QMainWindow) -> None:
    """Hide tab bars that Qt has forgotten: it makes one with every dock that is added, and leaves the earlier ones standing."""
    bars = window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly)
    names = [{bar.tabText(k) for k in range(bar.count())} for bar in bars]
    for bar, own in zip(bars, names, strict=True):
        if bar.isVisible() and any(own < other for other in names):
            bar.hide()
