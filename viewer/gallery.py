"""All maps at a glance as small tiles: one click shows a map large, a click with Ctrl puts more side by side."""

from collections.abc import Sequence

from qtpy.QtCore import QRect, QSignalBlocker, QSize, Qt, Signal
from qtpy.QtGui import QFontMetrics, QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QLabel, QListView, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from operando.messages import MapPublished
from viewer.colormaps import coloured
from viewer.session import Session, Shown, Topic
from viewer.style import INK, font, image_from_rgba

TILE = 90
"""Edge of a tile in screen pixels: three columns beside the large map."""

GRID = QSize(TILE + 12, TILE + 54)
"""A tile with three lines below it."""
_MARGIN = 14
"""Above and below a tile and its name."""

_STYLE = f"""
QListWidget {{ background: white; border: 0; color: {INK}; outline: 0; }}
QListWidget::item {{ border: 2px solid transparent; border-radius: 6px; padding: 2px; }}
QListWidget::item:selected {{ border: 2px solid #1f5fa8; background: #eef4fb; color: {INK}; }}
QListWidget::item:hover {{ background: #f3f3f3; }}
QLabel {{ background: white; color: {INK}; padding: 4px; }}
"""


class Gallery(QWidget):
    """Tiles of the maps, and below them what lies under the mouse."""

    name = "maps"
    topics: tuple[Topic, ...] = ("maps", "scan")
    chosen = Signal(list)
    """Machine names of the maps that the user has selected."""

    def __init__(self) -> None:
        super().__init__()
        self.setStyleSheet(_STYLE)
        self._list = QListWidget()
        self._list.setViewMode(QListView.ViewMode.IconMode)
        self._list.setIconSize(QSize(TILE, TILE))
        self._list.setGridSize(GRID)
        self._list.setFont(font(8))
        self._list.setWordWrap(True)
        self._list.setTextElideMode(Qt.TextElideMode.ElideNone)
        self._list.setResizeMode(QListView.ResizeMode.Adjust)
        self._list.setMovement(QListView.Movement.Static)
        self._list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self._list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._list.itemSelectionChanged.connect(self._tell)
        # A tile that is chosen already, whose layer the user has hidden or removed, brings it back.
        self._list.itemClicked.connect(lambda _: self._tell())
        self._readout = QLabel()
        self._readout.setWordWrap(True)
        self._readout.setMinimumHeight(40)
        self._items: dict[str, QListWidgetItem] = {}
        self._preferred: tuple[str, ...] = ()
        self._drawn: dict[str, Shown[MapPublished]] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self._list)
        layout.addWidget(self._readout)

    def show_session(self, session: Session) -> None:
        """Draw the tiles whose maps have changed; the first map is chosen until the user chooses."""
        maps = session.shown.maps
        for name, shown in maps.items():
            if self._drawn.get(name) is not shown:
                self._draw(name, shown)
        for name, item in self._items.items():
            # Qt lays all tiles out anew whenever it is told, also what it knows.
            if item.isHidden() == (name in session.stacks):
                item.setHidden(name not in session.stacks)
        if self._items and not self._list.selectedItems():
            wanted = [item for name, item in self._items.items() if name in self._preferred]
            self._select(wanted or [next(iter(self._items.values()))])

    def prefer(self, names: Sequence[str]) -> None:
        """Begin with these maps, if they come, instead of the first."""
        self._preferred = tuple(names)

    def choose(self, names: list[str]) -> None:
        """Choose maps as if the user had clicked on them."""
        self._select([item for name, item in self._items.items() if name in names])

    def put_above(self, widget: QWidget) -> None:
        """Put something over the tiles."""
        self.layout().insertWidget(0, widget)

    def read_out(self, text: str) -> None:
        """Write what lies under the mouse."""
        if self._readout.text() != text:
            self._readout.setText(text)

    @property
    def readout(self) -> str:
        """What is written there."""
        return str(self._readout.text())

    def _draw(self, name: str, shown: Shown[MapPublished]) -> None:
        if name not in self._items:
            item = QListWidgetItem(shown.message.label)
            item.setData(Qt.ItemDataRole.UserRole, name)
            item.setTextAlignment(Qt.AlignmentFlag.AlignHCenter)
            item.setSizeHint(self._room_for(shown.message.label))
            self._items[name] = item
            self._list.addItem(item)
        tile, icon = _tile(shown), QIcon()
        # The same picture when selected: Qt would tint it, and a tinted colour scale lies.
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected, QIcon.Mode.Active):
            icon.addPixmap(tile, mode)
        self._items[name].setIcon(icon)
        message = shown.message
        self._items[name].setToolTip(f"{message.label}: {message.low:g} to {message.high:g} {message.unit}".rstrip())
        self._drawn[name] = shown

    def _room_for(self, name: str) -> QSize:
        """Give the size of a tile with its whole name: of itself Qt ends the second line in dots."""
        # Qt breaks the lines a little earlier than at the tile's edge.
        line = QRect(0, 0, TILE - _MARGIN, GRID.height())
        words = QFontMetrics(self._list.font()).boundingRect(line, Qt.TextFlag.TextWordWrap, name)
        return QSize(GRID.width(), min(TILE + words.height() + _MARGIN, GRID.height()))

    def _select(self, items: Sequence[QListWidgetItem]) -> None:
        """Select some tiles, and tell it once."""
        with QSignalBlocker(self._list):
            for item in self._items.values():
                item.setSelected(item in items)
        self._tell()

    def _tell(self) -> None:
        names = [name for name, item in self._items.items() if item.isSelected()]
        if names:
            self.chosen.emit(names)


def _tile(shown: Shown[MapPublished]) -> QPixmap:
    message = shown.message
    value = shown.arrays["value"]
    # Every so many voxels: a tile has fewer pixels, and colouring is what it costs.
    step = max(1, min(value.shape) // (2 * TILE))
    picture = coloured(value[::step, ::step], low=message.low, high=message.high, colormap=message.colormap)
    # Rows of a picture go down, y of a map goes up.
    image = image_from_rgba(picture[::-1]).scaled(TILE, TILE, Qt.AspectRatioMode.KeepAspectRatio)
    tile = QPixmap(TILE, TILE)
    tile.fill(Qt.GlobalColor.white)
    painter = QPainter(tile)
    painter.drawImage((TILE - image.width()) // 2, (TILE - image.height()) // 2, image)
    painter.end()
    return tile
