"""Keys that do something, and the card that tells them: what is bound is on the card, what is on the card is bound."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QLabel, QVBoxLayout, QWidget

from viewer.colormaps import napari_colormap, next_scale
from viewer.style import FAINT, INK

if TYPE_CHECKING:
    import napari
    from napari.layers import Image

NAPARI_KEYS = {
    "← →": "the scan before, the next scan",
    "V": "hide or show the chosen layers",
    "Ctrl+R": "fit the view",
    "Ctrl+G": "maps beside each other or on top of each other",
    "Alt+S": "save a picture of the canvas",
    "Ctrl+Alt+/": "all keys of napari",
}
"""Of napari's own keys those that one wants here; none of operando's takes one of napari's away from images."""

BACKGROUNDS = ("white", "#9a9a9a")
"""Behind the maps: white as on paper, and a grey on which the palest and the darkest colours are both seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortcut:
    """A key and what it does."""

    keys: tuple[str, ...]
    """As napari writes them, for instance ``Shift+P``; all do the same."""
    words: str
    act: Callable[[], object]


class Shortcuts:
    """Binds keys to a napari viewer, and shows them on a card with the key H.

    Parameters
    ----------
    viewer
        Whose keys.
    window
        Over which the card is shown.
    shortcuts
        What is bound; H comes by itself.
    """

    def __init__(self, viewer: "napari.Viewer", window: QWidget, shortcuts: Sequence[Shortcut]) -> None:
        self._viewer = viewer
        self.card = HelpCard(window)
        self.all = [*shortcuts, Shortcut(keys=("H",), words="this card", act=self.card.toggle)]
        self.card.write(self.all)
        for shortcut in self.all:
            for key in shortcut.keys:
                viewer.bind_key(key, _called(shortcut.act), overwrite=True)

    def close(self) -> None:
        """Give the keys back and close the card."""
        for shortcut in self.all:
            for key in shortcut.keys:
                self._viewer.bind_key(key, None, overwrite=True)
        self.card.close()
        self.card.deleteLater()


class HelpCard(QDialog):
    """The keys, in a small window that stays on top of its parent and takes no input from it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("keys")
        self.setStyleSheet(f"background: white; color: {INK}")
        self._label = QLabel()
        self._label.setTextFormat(Qt.TextFormat.RichText)
        layout = QVBoxLayout(self)
        layout.addWidget(self._label)

    @property
    def text(self) -> str:
        """What is written, with its marks."""
        return str(self._label.text())

    def write(self, shortcuts: Sequence[Shortcut]) -> None:
        """Write the keys down."""
        self._label.setText(card_text(shortcuts))

    def toggle(self) -> None:
        """Show the card, or hide it."""
        self.setVisible(not self.isVisible())


def card_text(shortcuts: Sequence[Shortcut]) -> str:
    """Give the card as rich text: operando's keys, then some of napari's."""
    own = "".join(_row(" or ".join(shortcut.keys), shortcut.words) for shortcut in shortcuts)
    others = "".join(_row(key, words) for key, words in NAPARI_KEYS.items())
    heading = f"<tr><td colspan=2 style='color:{FAINT}; padding-top:8px'>"
    return f"<table cellpadding=3>{heading}operando</td></tr>{own}{heading}napari</td></tr>{others}</table>"


def looks(viewer: "napari.Viewer", maps: Callable[[], Sequence["Image"]]) -> list[Shortcut]:
    """Give the keys that change how maps look and nothing else.

    Parameters
    ----------
    viewer
        Whose background.
    maps
        Gives the layers of the maps that are seen.
    """
    backgrounds = cycle([*BACKGROUNDS[1:], BACKGROUNDS[0]])

    def change_background() -> None:
        viewer.canvas.background_color_override = next(backgrounds)

    def change_scales() -> None:
        for layer in maps():
            layer.colormap = napari_colormap(next_scale(layer.colormap.name))

    return [
        Shortcut(keys=("K",), words="another colour scale: as published, even for every eye, for print", act=change_scales),
        Shortcut(keys=("W",), words="white or grey behind the maps", act=change_background),
    ]


def _called(act: Callable[[], object]) -> Callable[["napari.Viewer"], None]:
    def call(_: "napari.Viewer") -> None:
        act()

    return call


def _row(key: str, words: str) -> str:
    return f"<tr><td><b>{key}</b></td><td>{words}</td></tr>"
