"""The bar over everything: is it live, which run, how far, how is the cell, what became of the frames, what went wrong."""

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QFrame, QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from viewer.freshness import Freshness
from viewer.mailbox import Link
from viewer.session import Session, Topic
from viewer.style import AMBER, BLUE, FAINT, INK, LEVEL_COLOUR, NOTICE_COLOUR, RED, font
from viewer.words import Words, cell_words, following_words, frames_words, notice_words, progress_words, run_words

N_NOTICES = 3
LEAST_LINE = {"run": 120}
"""Screen pixels below which the lines of a chip are not made shorter: the run's name, the longest, gives way to the others."""
LEAST_OTHER_LINE = 240
LEAST_NOTICES = 260


class Line(QLabel):
    """A line of text that ends in dots where there is no room: long words must not make the window wider than the screen.

    Parameters
    ----------
    text
        What is written first.
    least
        Screen pixels below which the line is not made shorter, unless its text is.
    """

    def __init__(self, text: str = "", *, least: int) -> None:
        super().__init__(text)
        self._least = least

    def minimumSizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Give the width below which the line is not made shorter, or its own if that is less."""
        hint = super().minimumSizeHint()
        return QSize(min(self._least, hint.width()), hint.height())

    def paintEvent(self, _: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw as much of the text as there is room for."""
        room = self.contentsRect()
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, room.width())
        painter = QPainter(self)
        painter.setPen(QColor(INK))
        painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)


class Chip(QWidget):
    """A caption, a value and a small line below it."""

    def __init__(self, caption: str) -> None:
        super().__init__()
        least = LEAST_LINE.get(caption, LEAST_OTHER_LINE)
        self._caption, self._main, self._small = QLabel(caption.upper()), Line("–", least=least), Line(least=least)
        self._caption.setFont(font(7, bold=True))
        self._caption.setStyleSheet(f"color: {FAINT}; background: transparent")
        self._main.setFont(font(13, bold=True))
        self._small.setFont(font(9))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 2, 6, 2)
        layout.setSpacing(1)
        layout.setAlignment(Qt.AlignmentFlag.AlignVCenter)
        for label in (self._caption, self._main, self._small):
            layout.addWidget(label)

    def say(self, words: Words) -> None:
        """Write a value; unchanged words cost nothing."""
        for label, text in ((self._main, words.main), (self._small, words.small)):
            if label.text() != text:
                label.setText(text)
                label.setToolTip(text)

    @property
    def text(self) -> str:
        """What is written, in one line."""
        return f"{self._main.text()} {self._small.text()}".strip()


class Header(QFrame):
    """The bar's chips, the pill of freshness and the newest notices."""

    name = "header"
    topics: tuple[Topic, ...] = ("run", "progress", "cell", "status", "maps", "notices", "scan")
    follow_asked = Signal()
    """The user wants to see the newest scan again."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("operandoHeader")
        self.setStyleSheet("#operandoHeader { background: white; border-bottom: 1px solid #d0d0d0; }")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(78)
        self._pill = QLabel()
        self._pill.setFont(font(11, bold=True))
        self._pill.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pill.setWordWrap(True)
        self._pill.setFixedSize(210, 40)
        self._badge = QPushButton()
        self._badge.setFont(font(9, bold=True))
        self._badge.setFlat(True)
        self._badge.setFixedSize(210, 22)
        self._badge.setCursor(Qt.CursorShape.PointingHandCursor)
        self._badge.clicked.connect(self.follow_asked.emit)
        self._freshness: Freshness | None = None
        self.chips = {caption: Chip(caption) for caption in ("run", "scan", "cell", "detector")}
        self._bar = QProgressBar()
        self._bar.setTextVisible(False)
        self._bar.setFixedHeight(8)
        self._bar.setStyleSheet(
            f"QProgressBar {{ background: #e6e6e6; border: 0; border-radius: 5px }}"
            f"QProgressBar::chunk {{ background: {BLUE}; border-radius: 5px }}"
        )
        self._notices = QLabel()
        self._notices.setFont(font(9))
        self._notices.setWordWrap(True)
        self._notices.setMinimumWidth(LEAST_NOTICES)
        self._notices.setStyleSheet("background: transparent")
        self._faults: dict[str, str] = {}
        self._file_complaint = ""
        self._n_skipped = 0
        self._lay_out()

    def _lay_out(self) -> None:
        layout = QHBoxLayout(self)
        layout.setContentsMargins(12, 4, 12, 4)
        layout.setSpacing(14)
        self.chips["scan"].layout().addWidget(self._bar)
        left = QVBoxLayout()
        left.setSpacing(2)
        left.addWidget(self._pill)
        left.addWidget(self._badge)
        layout.addLayout(left)
        layout.addWidget(self.chips["run"])
        layout.addWidget(self.chips["scan"])
        layout.addWidget(self.chips["cell"])
        layout.addWidget(self.chips["detector"])
        layout.addWidget(self._notices, stretch=1)

    @property
    def pill(self) -> Freshness | None:
        """What the pill says."""
        return self._freshness

    @property
    def badge(self) -> str:
        """Whether the newest scan is followed, in words."""
        return str(self._badge.text())

    @property
    def notices(self) -> str:
        """The notices as they are written, with their marks."""
        return str(self._notices.text())

    def show_freshness(self, verdict: Freshness) -> None:
        """Colour the pill; an unchanged verdict costs nothing."""
        if verdict != self._freshness:
            self._freshness = verdict
            self._pill.setText(verdict.text)
            self._pill.setStyleSheet(
                f"background: {LEVEL_COLOUR[verdict.level]}; color: white; border-radius: 12px; padding: 2px 8px"
            )

    def show_session(self, session: Session) -> None:
        """Write the chips."""
        self.chips["run"].say(run_words(session))
        self.chips["scan"].say(progress_words(session))
        self.chips["cell"].say(cell_words(session))
        self.chips["detector"].say(frames_words(session))
        self._show_following(session)
        progress = session.tomogram.progress
        self._bar.setMaximum(max(progress.lines_expected, 1) if progress else 1)
        self._bar.setValue(progress.lines_done if progress else 0)

    def _show_following(self, session: Session) -> None:
        words, is_following = following_words(session, self._n_skipped), session.timeline.is_following
        if words.main != self._badge.text():
            self._badge.setText(words.main)
            self._badge.setToolTip(words.small)
            look = f"color: {FAINT}; background: transparent" if is_following else f"color: white; background: {AMBER}"
            self._badge.setStyleSheet(f"QPushButton {{ {look}; border: 0; border-radius: 8px }}")

    def show_notices(self, session: Session, link: Link | None) -> None:
        """Write what went wrong: faults of this window first, then refused messages, then the newest notices."""
        lines = [_line(RED, f"the {name} panel cannot draw: {fault}") for name, fault in self._faults.items()]
        if self._file_complaint:
            lines.append(_line(RED, self._file_complaint))
        if link is not None and link.n_malformed:
            lines.append(_line(RED, f"{link.n_malformed} answers not understood, last: {link.complaint}"))
        if session.n_refused:
            lines.append(_line(RED, f"{session.n_refused} messages refused, last: {session.complaint}"))
        lines += [_line(NOTICE_COLOUR[notice.level], notice_words(notice)) for notice in reversed(session.notices)]
        text = "<br>".join(lines[:N_NOTICES])
        if text != self._notices.text():
            self._notices.setText(text)
            self._notices.setToolTip("<br>".join(lines))

    def note_file(self, complaint: str) -> None:
        """Remember why the file on the screen cannot be read; the empty text says that it can."""
        self._file_complaint = complaint[:500]

    def note_skipped(self, session: Session, n_skipped: int) -> None:
        """Remember how many entries of the feed never came here; an unchanged count costs nothing."""
        if n_skipped != self._n_skipped:
            self._n_skipped = n_skipped
            self._show_following(session)

    def note_fault(self, panel: str, fault: str | None) -> None:
        """Remember that a panel cannot draw, or that it can again."""
        if fault is None:
            self._faults.pop(panel, None)
        else:
            self._faults[panel] = fault[:200]


def _line(colour: str, text: str) -> str:
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return f"<span style='color:{colour}'>●</span> <span style='color:{INK}'>{escaped}</span>"
