"""The window: lays the panels around napari's canvas and lets one timer bring them up to date.

The timer empties the mailbox, hands the entries to the session and asks each panel whose topic has changed to draw. A panel
that fails says so in the header and stops nobody. Closing the window stops the timer and the receiver before napari ends.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer

from operando.bus import Entry
from viewer.across import AcrossPanel
from viewer.archive_follower import ArchiveFollower
from viewer.canvas import fit, n_cells_of
from viewer.charts import HistoryPanel, StagesPanel
from viewer.comparison import Comparison, OracleOf
from viewer.control import Control
from viewer.control_panel import ControlPanel
from viewer.frames import CakePanel, FramePanel
from viewer.freshness import freshness
from viewer.gallery import Gallery
from viewer.header import Header
from viewer.inquiry import Inquiry
from viewer.layers import MapLayers
from viewer.layout import AREAS, hide_stale_tabs, lay_out
from viewer.mailbox import Receiver
from viewer.mix import Mix
from viewer.oracle import Oracle
from viewer.painter import Painter
from viewer.panels import Panel, PatternPanel, SinogramPanel
from viewer.pins import Pin
from viewer.pointer import Pointer, under_the_mouse
from viewer.region_panel import RegionPanel
from viewer.session import Session
from viewer.shortcuts import Shortcut, Shortcuts, looks
from viewer.strip import StripChart
from viewer.words import scan_words

if TYPE_CHECKING:
    import napari
    from qtpy.QtWidgets import QDockWidget

TICK_MS = 50
SETTLE_S = 1.0
"""Time after the first maps in which the window still finds its layout; the view is fitted again at its end."""


class Monitor(QObject):
    """Everything that operando adds to a napari viewer.

    Parameters
    ----------
    viewer
        A napari viewer with a window.
    receiver
        Where entries come from; None shows what :meth:`feed` is given, for instance from a file.
    oracle
        Who answers questions about regions; None asks whom the receiver's source names.
    files
        The archives that :meth:`feed` is given the entries of.
    oracle_of
        Who answers questions about archives; None: nobody.
    clock
        Monotonic seconds.
    """

    def __init__(
        self,
        viewer: "napari.Viewer",
        receiver: Receiver | None = None,
        *,
        oracle: Oracle | None = None,
        files: Sequence[Path] = (),
        oracle_of: OracleOf | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.session = Session()
        self.viewer = viewer
        self.receiver = receiver
        self.on_tick: Callable[[], None] = lambda: None
        self.is_closed = False
        self.follower: ArchiveFollower | None = None
        """Looks after the files that are shown; None where none are, or where they are shown once and for all."""
        self._clock = clock
        self._fit_at_s: float | None = None
        self._pinned: list[Pin] = []
        self.changed_s = clock()
        """When a map, a sinogram or a pattern last changed."""
        self.layers = MapLayers(viewer)
        self.header, self.gallery, self.strip = Header(), Gallery(), StripChart()
        self.sinogram, self.frame, self.cake, self.pattern = SinogramPanel(), FramePanel(), CakePanel(), PatternPanel()
        self.region, self.history, self.across, self.stages = RegionPanel(), HistoryPanel(), AcrossPanel(), StagesPanel()
        self.control = Control(self.session, clock=clock)
        self.commands = ControlPanel(self.control)
        self.panels: list[Panel] = [
            *(self.header, self.gallery, self.strip, self.sinogram, self.frame, self.cake, self.pattern),
            *(self.region, self.history, self.across, self.stages, self.commands),
        ]
        self._painter = Painter(self.session, self.header, self.panels, clock)
        self.comparison = Comparison(viewer, self.session, self.layers, files=files, oracle_of=oracle_of)
        self.mix = Mix(viewer, self.session, self.layers)
        self.gallery.put_above(self.comparison.bar)
        self.gallery.put_above(self.mix.legend)
        self._docks = self._lay_out()
        self._window = self._docks["operando"].window()
        if oracle is None and oracle_of is not None and files:
            oracle = oracle_of(files)
        self.inquiry = Inquiry(self.session, oracle, clock=clock)
        self.pointer = Pointer(viewer, self.session, self._focus)
        self.gallery.chosen.connect(self._choose)
        self.strip.chosen.connect(self._on_time)
        self.header.follow_asked.connect(self.follow)
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.mouse_move_callbacks.append(self._on_mouse)
        self.shortcuts = Shortcuts(viewer, self._window, self._keys())
        self._window.installEventFilter(self)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.tick)
        self._timer.start(TICK_MS)

    def feed(self, entries: list[Entry]) -> None:
        """Take up entries that did not come through the receiver."""
        for entry in entries:
            self.session.apply(entry)

    def follow(self) -> None:
        """Show the newest scan, and go on to each that comes."""
        self.session.follow()

    def tick(self) -> None:
        """Bring the window up to date: called by the timer."""
        if self.is_closed:
            return
        self._painter.contained("window", self._update)
        self.on_tick()

    @property
    def n_faults(self) -> int:
        """How often something could not be drawn."""
        return self._painter.n_faults

    def forget_drawn(self) -> None:
        """Let the next tick draw every panel anew, whether it has changed or not."""
        self._painter.forget_drawn()

    @property
    def is_settled(self) -> bool:
        """Whether what is shown has not changed for so long that a picture of it will be whole."""
        return self._clock() - self.changed_s > SETTLE_S and self._fit_at_s is None and self._painter.is_done

    def close(self) -> None:
        """Stop the timer, the receiver and all callbacks; the window itself stays to napari."""
        if self.is_closed:
            return
        self.is_closed = True
        self._timer.stop()
        self._window.removeEventFilter(self)
        self.viewer.dims.events.current_step.disconnect(self._on_step)
        self.shortcuts.close()
        self.layers.close()
        self.pointer.close()
        self.inquiry.close()
        self.comparison.close()
        self.commands.rest()
        self.control.close()
        if self._on_mouse in self.viewer.mouse_move_callbacks:
            self.viewer.mouse_move_callbacks.remove(self._on_mouse)
        if self.receiver is not None:
            self.receiver.close()

    def eventFilter(self, watched: Any, event: Any) -> bool:  # noqa: N802 - Qt's name
        """See the window close before napari takes it down."""
        if watched is self._window and event.type() == QEvent.Type.Close:
            self.close()
        return False

    def _lay_out(self) -> "dict[str, QDockWidget]":
        beside = (self.header, self.gallery, self.frame, self.cake, self.sinogram, self.commands)
        below = (self.strip, self.pattern, self.region, self.history, self.across, self.stages)
        return lay_out(self.viewer, dict(zip(AREAS, (*beside, *below), strict=True)))

    def _update(self) -> None:
        if self.receiver is not None:
            post = self.receiver.mailbox.empty()
            if post.is_void:
                self.session.void()
            self.feed(post.entries)
        contained, has_changed = self._painter.contained, self._painter.has_changed
        contained("file", self._follow_file)
        contained("voxel", self._ask)
        contained("comparison", self.comparison.tick)
        contained("control", self.control.tick)
        if has_changed("marks", ("pins", "focus", "maps")):
            stack = self.session.stacks.get(self._focus() or "")
            self.layers.mark([] if stack is None else self.session.pins.marks(stack.grid))
        if has_changed("map", ("maps", "sinogram", "pattern", "scan")) or self.layers.is_stale:
            contained("map", self._sync_maps)
        self._fit_if_due()
        if self._painter.draw_panels():
            hide_stale_tabs(self._window)
            contained("mix", self.mix.sync)
        link = self.receiver.link if self.receiver is not None else None
        self.header.show_freshness(freshness(self.session, link))
        self.header.show_notices(self.session, link)
        self.header.note_skipped(self.session, 0 if link is None else link.n_skipped)

    def _sync_maps(self) -> None:
        is_first = self.layers.sync(self.session)
        # Making the first layers takes seconds on software OpenGL: what has changed counts from their end.
        self.changed_s = self._clock()
        if is_first:
            fit(self.viewer)
            self._fit_at_s = self.changed_s + SETTLE_S
        self.comparison.sync()
        self.mix.sync()
        self._write_words()

    def _write_words(self) -> None:
        # In a comparison each map says under its name which scan it is.
        is_alone = self.session.beside is None
        self.layers.set_text(scan_words(self.session, is_flat=n_cells_of(self.viewer) > 2) if is_alone else "")

    def _fit_if_due(self) -> None:
        if self._fit_at_s is not None and self._clock() >= self._fit_at_s:
            self._fit_at_s = None
            fit(self.viewer)

    def _keys(self) -> list[Shortcut]:
        def step(n: int) -> Callable[[], None]:
            return lambda: self.session.show(self.session.timeline.index + n)

        return [
            Shortcut(keys=("L", "Home"), words="follow the newest scan", act=self.follow),
            Shortcut(keys=("[",), words="the scan before", act=step(-1)),
            Shortcut(keys=("]",), words="the next scan", act=step(1)),
            Shortcut(keys=("Escape",), words="forget the pins and the line", act=self.session.clear_pins),
            Shortcut(keys=("N",), words="another scan beside this one, or this one alone", act=self.comparison.toggle),
            Shortcut(keys=("D",), words="the difference of the two, too", act=self.comparison.toggle_difference),
            Shortcut(keys=("M",), words="two chosen maps in one picture of two colours", act=self.mix.toggle),
            Shortcut(keys=("U",), words="a map with its uncertainty beside it, or alone", act=self.layers.toggle_sigma),
            *looks(self.viewer, lambda: [self.layers.layer(name) for name in self.layers.visible_names]),
        ]

    def _follow_file(self) -> None:
        """Show what files have been replaced or have come; what cannot be read leaves on the screen what was there."""
        if self.follower is None:
            return
        news = self.follower.poll()
        if news is not None:
            if news.is_all:
                self.session.void()
            self.feed(news.entries)
        self.header.note_file(self.follower.complaint)

    def _choose(self, names: list[str]) -> None:
        self.layers.choose(names, self.session)
        self.comparison.sync()
        self.mix.sync()
        self._write_words()
        fit(self.viewer)

    def _focus(self) -> str | None:
        """Give the map that is in front: the first on the screen."""
        names = self.layers.visible_names
        return names[0] if names else None

    def _ask(self) -> None:
        """Take up an answer about a region, or ask the next question."""
        self.session.look_at(self._focus())
        self.inquiry.tick()
        pins = list(self.session.pins.items)
        if pins != self._pinned:
            is_new = bool(set(pins) - set(self._pinned))
            self._pinned = pins
            # What was asked for is looked at: also the sentence that says why there is no pattern.
            if is_new and self.region.visibleRegion().isEmpty():
                self._docks["voxel"].raise_()

    def _on_step(self, event: Any) -> None:
        """Learn that the slider was moved; by whom, the layers know."""
        axis = self.viewer.dims.ndim - 3
        if axis >= 0 and not self.layers.is_moving and self.session.scans:
            self.session.show(int(self.viewer.dims.current_step[axis]))

    def _on_time(self, time_s: float) -> None:
        index = self.session.scan_at(time_s)
        if index is not None:
            self.session.show(index)

    def _on_mouse(self, viewer: "napari.Viewer", event: Any) -> None:
        self.gallery.read_out(under_the_mouse(self.session, self.layers.visible_names, event))
