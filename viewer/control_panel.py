"""The control panel: how the scan stands, and buttons for what a person may wish of it.

A button that would be refused looks so and says why, and can be pressed all the same: then the acquisition says it itself.
To abort takes two presses.
"""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from operando.errors import DataError
from operando.messages import Action
from viewer.control import Control
from viewer.control_words import EXPLAINED, LABELS, arguments_from, dose_line, progress_line, queue_line, state_words
from viewer.session import Session, Topic
from viewer.style import AMBER, BLUE, FAINT, GREEN, INK, RED, font

SURE_MS = 4000
"""How long the second press on Abort counts."""
OWN_PLAN = "the profile's plan"
_STATE_COLOUR = {
    **dict.fromkeys(("running", "starting"), GREEN),
    **dict.fromkeys(("paused", "pausing", "suspended", "ending", "no answer"), AMBER),
    "idle": BLUE,
}
_COLUMNS = 3
_LINES = ("reason", "progress", "dose", "queue")


class ControlPanel(QWidget):
    """State, progress, dose, and what can be done.

    Parameters
    ----------
    control
        Passes the wishes on.
    """

    name = "control"
    topics: tuple[Topic, ...] = ("control", "progress", "run", "status")

    def __init__(self, control: Control) -> None:
        super().__init__()
        self._control = control
        self._labels = {name: _label(9) for name in (*_LINES, "reply")}
        self._state = _label(13, bold=True)
        self._plans, self._arguments = QComboBox(), QLineEdit()
        self._plans.setFont(font(9))
        self._plans.addItem(OWN_PLAN)
        self._arguments.setFont(font(9))
        self._arguments.setPlaceholderText("name=value …")
        self.buttons = {action: self._button(action) for action in LABELS}
        self._sure = QTimer(self)
        self._sure.setSingleShot(True)
        self._sure.timeout.connect(self._be_unsure)
        self.setObjectName("operandoControl")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.setStyleSheet("#operandoControl { background: white }")
        self._lay_out()

    @property
    def words(self) -> dict[str, str]:
        """What is written, by place: state, reason, progress, dose, queue, reply."""
        return {"state": str(self._state.text()), **{name: str(label.text()) for name, label in self._labels.items()}}

    def press(self, action: Action) -> None:
        """Press a button as the user would."""
        self.buttons[action].click()

    def choose(self, plan: str, arguments: str = "") -> None:
        """Choose what Start shall start; an empty plan is the profile's own."""
        self._plans.setCurrentText(plan or OWN_PLAN)
        self._arguments.setText(arguments)

    def rest(self) -> None:
        """Wait for no second press any more."""
        self._be_unsure()

    def show_session(self, session: Session) -> None:
        """Write what is known, and let each button look as it would be answered."""
        words = state_words(self._control, session)
        colour = _STATE_COLOUR.get(words.main.split(" · ")[0], FAINT)
        _write(self._state, words.main, colour)
        lines = (words.small, progress_line(session), dose_line(session), queue_line(self._control))
        for name, text in zip(_LINES, lines, strict=True):
            _write(self._labels[name], text, INK)
            self._labels[name].setHidden(not text)
        self._show_reply()
        self._offer_plans()
        for action, button in self.buttons.items():
            refusal = self._control.refusal(action)
            button.setToolTip(f"not now: {refusal}" if refusal else EXPLAINED[action])
            _paint(button, _look(action, is_refused=bool(refusal)))

    def _show_reply(self) -> None:
        reply, wished, label = self._control.reply, self._control.wished, self._labels["reply"]
        if wished is not None:
            _write(label, f"{LABELS.get(wished, wished)}: asked …", FAINT)
        elif reply is None:
            _write(label, "", INK)
        elif reply.accepted:
            _write(label, f"{LABELS.get(reply.action, reply.action)}: {reply.text}", GREEN)
        else:
            _write(label, f"{LABELS.get(reply.action, reply.action)} refused: {reply.text}", RED)

    def _offer_plans(self) -> None:
        plans = {} if self._control.answer is None else self._control.answer.plans
        offered = [self._plans.itemText(row) for row in range(1, self._plans.count())]
        if list(plans) == offered or self._control.answer is None:
            return
        chosen = self._plans.currentText()
        self._plans.clear()
        self._plans.addItems([OWN_PLAN, *plans])
        for row, words in enumerate(plans.values(), start=1):
            self._plans.setItemData(row, words, Qt.ItemDataRole.ToolTipRole)
        self._plans.setCurrentText(chosen)

    def _button(self, action: Action) -> QPushButton:
        button = QPushButton(LABELS[action])
        button.setFont(font(9, bold=True))
        button.setMinimumHeight(26)
        button.clicked.connect(self._pressed(action))
        return button

    def _pressed(self, action: Action) -> Callable[[], None]:
        def press() -> None:
            if action == "abort" and not self._sure.isActive() and not self._control.refusal(action):
                self.buttons[action].setText("Abort? Press again")
                self._sure.start(SURE_MS)
                return
            self._be_unsure()
            if action == "start":
                self._start()
            else:
                self._control.give(action)

        return press

    def _start(self) -> None:
        chosen = str(self._plans.currentText())
        try:
            arguments = arguments_from(str(self._arguments.text()))
        except DataError as wrong:
            self._control.complain("start", str(wrong))
            return
        self._control.give("start", plan="" if chosen == OWN_PLAN else chosen, arguments=arguments)

    def _be_unsure(self) -> None:
        self._sure.stop()
        self.buttons["abort"].setText(LABELS["abort"])

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 4, 8, 4)
        layout.setSpacing(2)
        layout.addWidget(self._state)
        for name in _LINES:
            layout.addWidget(self._labels[name])
        plan = QHBoxLayout()
        plan.addWidget(self._plans, stretch=1)
        plan.addWidget(self._arguments, stretch=1)
        layout.addLayout(plan)
        grid = QGridLayout()
        grid.setSpacing(4)
        for place, button in enumerate(self.buttons.values()):
            grid.addWidget(button, place // _COLUMNS, place % _COLUMNS)
        layout.addLayout(grid)
        layout.addWidget(self._labels["reply"])
        layout.addStretch(1)


def _look(action: Action, *, is_refused: bool) -> str:
    if is_refused:
        return "color: #9a9a9a; background: #f2f2f2; border: 1px dashed #c8c8c8"
    colour = RED if action == "abort" else GREEN if action in ("start", "resume") else BLUE
    return f"color: white; background: {colour}; border: 1px solid {colour}"


def _paint(button: QPushButton, look: str) -> None:
    sheet = f"QPushButton {{ {look}; border-radius: 5px; padding: 2px 4px }}"
    if button.styleSheet() != sheet:
        button.setStyleSheet(sheet)


def _label(points: int, *, bold: bool = False) -> QLabel:
    label = QLabel()
    label.setFont(font(points, bold=bold))
    label.setWordWrap(True)
    return label


def _write(label: Any, text: str, colour: str) -> None:
    if label.text() != text:
        label.setText(text)
    sheet = f"color: {colour}; background: transparent"
    if label.styleSheet() != sheet:
        label.setStyleSheet(sheet)
