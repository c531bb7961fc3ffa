"""Another scan beside the one that is shown: what the user chooses, and everything in the window that follows from it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from operando.errors import OperandoError
from viewer.beside import OF_ANOTHER_SESSION, OF_THE_SAME_SESSION, Beside, Rule
from viewer.beside_layers import BesideLayers
from viewer.canvas import fit
from viewer.inquiry import Inquiry
from viewer.layers import MapLayers
from viewer.oracle import Oracle
from viewer.replay import entries_from_archives, names_apart
from viewer.session import Session
from viewer.style import INK, font

if TYPE_CHECKING:
    import napari

OracleOf = Callable[[Sequence[Path]], Oracle]
"""Gives who answers questions about some archives."""

_ALONE = "nothing"


class CompareBar(QWidget):
    """Offers what may stand beside the scan that is shown."""

    chosen = Signal(object)
    """A :class:`~viewer.beside.Rule`, or None for nothing."""
    file_asked = Signal()
    difference_asked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setStyleSheet(f"CompareBar {{ background: white }} QLabel {{ color: {INK} }}")
        self._choice = QComboBox()
        self._choice.setFont(font(8))
        self._choice.setToolTip("another scan beside the one that is shown (key N), same camera and colours")
        self._choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._rules: list[Rule | None] = []
        self._file = QPushButton("file…")
        self._difference = QPushButton("A−B")
        self._difference.setToolTip("the difference of the two (key D)")
        for button in (self._file, self._difference):
            button.setFont(font(8))
            button.setFixedWidth(46)
        self._file.setToolTip("the maps of another scan.nxs beside these")
        label = QLabel("beside each map:")
        label.setFont(font(8))
        top = QHBoxLayout()
        top.addWidget(label)
        top.addStretch(1)
        top.addWidget(self._difference)
        top.addWidget(self._file)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 2, 6, 2)
        layout.setSpacing(2)
        layout.addLayout(top)
        layout.addWidget(self._choice)
        self._choice.activated.connect(lambda index: self.chosen.emit(self._rules[index]))
        self._file.clicked.connect(self.file_asked.emit)
        self._difference.clicked.connect(self.difference_asked.emit)
        self.offer(None, other_name="")

    @property
    def offers(self) -> list[str]:
        """What can be chosen, in words."""
        return [str(self._choice.itemText(k)) for k in range(self._choice.count())]

    def offer(self, rule: Rule | None, *, other_name: str) -> None:
        """Offer what there is, with a rule chosen; an empty name: no file has been opened."""
        others = OF_ANOTHER_SESSION if other_name else ()
        self._rules = [None, *others, *OF_THE_SAME_SESSION]
        self._choice.clear()
        for one in self._rules:
            prefix = f"{other_name}, " if one in others else ""
            self._choice.addItem(_ALONE if one is None else f"{prefix}{one.value}")
        self._choice.setCurrentIndex(self._rules.index(rule))
        self._difference.setEnabled(rule is not None)


class Comparison:
    """What stands beside, and its layers, pins and answers; used from the window's thread.

    Parameters
    ----------
    viewer
        A napari viewer.
    session
        What is shown.
    layers
        Its maps.
    files
        The archives that it was read from; none for a feed.
    oracle_of
        Who answers about archives; None: nobody.
    """

    def __init__(
        self,
        viewer: "napari.Viewer",
        session: Session,
        layers: MapLayers,
        *,
        files: Sequence[Path] = (),
        oracle_of: OracleOf | None = None,
    ) -> None:
        self._viewer, self._session = viewer, session
        self._files, self._oracle_of = tuple(files), oracle_of
        self.layers = BesideLayers(viewer, layers)
        self.bar = CompareBar()
        self.bar.chosen.connect(self.choose)
        self.bar.file_asked.connect(self._ask_for_file)
        self.bar.difference_asked.connect(self.toggle_difference)
        self._other: Session | None = None
        self._other_name, self._other_files = "", tuple[Path, ...]()
        self._inquiry: Inquiry | None = None
        self._last: Rule | None = None

    @property
    def beside(self) -> Beside | None:
        """What stands beside; None if nothing does."""
        return self._session.beside

    def open(self, paths: Sequence[Path]) -> None:
        """Put archives beside what is shown.

        Raises
        ------
        MissingInputError, DataError
            If one cannot be read; what stood beside stays.
        """
        entries = entries_from_archives(paths)
        other = Session()
        for entry in entries:
            other.apply(entry)
        self._other, self._other_files = other, tuple(paths)
        self._other_name = names_apart(self._files, self._other_files)[1]
        self.choose(Rule.CHARGE)

    def choose(self, rule: Rule | None) -> None:
        """Put another scan beside by a rule, or none."""
        if self._inquiry is not None:
            self._inquiry.close()
            self._inquiry = None
        self._session.beside = self._made(rule)
        if self.beside is not None:
            self._last = self.beside.rule
            files = self._files if self.beside.is_of_itself else self._other_files
            oracle = self._oracle_of(files) if self._oracle_of is not None and files else None
            self._inquiry = Inquiry(self.beside, oracle)
        self.bar.offer(None if self.beside is None else self.beside.rule, other_name=self._other_name)
        for topic in ("maps", "pins"):
            self._session.changes[topic] += 1
        self.sync()
        fit(self._viewer)

    def toggle(self) -> None:
        """Put beside what stood there last, or nothing."""
        if self.beside is not None:
            self.choose(None)
        else:
            self.choose(self._last or (Rule.CHARGE if self._other is not None else Rule.OTHER_WAY))

    def toggle_difference(self) -> None:
        """Show the difference of the two, too, or not."""
        if self.beside is not None:
            self.layers.has_difference = not self.layers.has_difference
            self.sync()
            fit(self._viewer)

    def tick(self) -> None:
        """Ask in the other scan what is asked in this one."""
        if self.beside is not None and self._inquiry is not None:
            self.beside.mirror_pins()
            self._inquiry.tick()

    def sync(self) -> None:
        """Bring the layers up to date."""
        self.layers.sync(self.beside)

    def close(self) -> None:
        """Ask no more."""
        if self._inquiry is not None:
            self._inquiry.close()

    def _made(self, rule: Rule | None) -> Beside | None:
        if rule is None:
            return None
        if rule in OF_THE_SAME_SESSION:
            return Beside(self._session, self._session, rule, ("", ""))
        if self._other is None:
            return None
        return Beside(self._session, self._other, rule, (self._name_here, self._other_name))

    @property
    def _name_here(self) -> str:
        """Give a name of what is shown that is not that of the other."""
        return names_apart(self._files, self._other_files)[0] if self._files else "live"

    def _ask_for_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self.bar, "A scan to put beside", "", "scans (*.nxs)")
        if not path:
            return
        try:
            self.open([Path(path)])
        except OperandoError as wrong:
            self._session.say("error", str(wrong))
