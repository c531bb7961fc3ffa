"""The napari application: a window of its own on a live feed or on a file, and the picture that it leaves behind."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from operando.bus.asking import Answerer
from operando.errors import DataError, MissingInputError, ServiceError
from viewer.archive_follower import ArchiveFollower
from viewer.checks import ADDRESS
from viewer.mailbox import Receiver
from viewer.oracle import LocalOracle
from viewer.replay import entries_from_archives
from viewer.screen import check_screen

if TYPE_CHECKING:
    from viewer.comparison import OracleOf
    from viewer.window import Monitor

logger = structlog.get_logger(__name__)

SIZE = (1700, 1000)
"""Of the window, in screen pixels: the size of a virtual screen too."""
POSE_TICKS = 6
"""Ticks between the last drawing and the picture: plots lay out their axes only when they are painted."""


def view(
    address: str | None,
    files: Sequence[Path] = (),
    *,
    beside: Sequence[Path] = (),
    maps: Sequence[str] = (),
    in_two_colours: bool = False,
    answers: Callable[[Sequence[Path]], Answerer] | None = None,
    snapshot: Path | None = None,
    stop: threading.Event | None = None,
    wait_for_end: bool = False,
) -> int:
    """Show a live feed or files until the window is closed, and give the exit code.

    Parameters
    ----------
    address
        Where results are served; nobody need be there yet. Either ``address`` or ``files`` are given.
    files
        Archives, or folders of them, all on one slider; what is replaced or comes later is shown, too, and of what cannot
        be read the window says why.
    beside
        Archives that stand beside those, or beside the feed, for a comparison.
    maps
        Machine names of those that are shown first; of none, the first.
    in_two_colours
        Whether two of them are shown in one picture, too.
    answers
        Gives who answers questions about regions of some archives; called in a thread of its own.
    snapshot
        A PNG of the window, written when the run has ended and its maps stand still, or at the latest on stop. With a file it
        is written at once and the window closes.
    stop
        Ends the viewer when set.
    wait_for_end
        Whether the viewer ends by itself when the run has ended.

    Raises
    ------
    ServiceError
        If there is no screen, or the address is none.
    MissingInputError, DataError
        If neither or both are given; if a picture is wanted of a file that does not exist or holds no maps.
    """
    if (address is None) == (not files):
        raise MissingInputError("give either the address of a running analysis or a scan.nxs, not both")
    if address is not None:
        check_address(address)
    follower = ArchiveFollower(files) if files else None
    news = follower.poll() if follower is not None else None
    if follower is not None and follower.complaint and snapshot is not None:
        raise DataError(follower.complaint)
    if beside:
        entries_from_archives(beside)  # What cannot be read is said before a window opens.
    check_screen()
    with _isolated_settings():
        oracle_of = None if answers is None else lambda archives: LocalOracle(answers(archives))
        monitor = open_window(address, files=files, oracle_of=oracle_of)
        monitor.gallery.prefer(maps)
        monitor.mix.is_on = in_two_colours
        monitor.feed(news.entries if news is not None else [])
        monitor.follower = follower
        if beside:
            monitor.comparison.open(beside)
        director = Director(
            monitor, snapshot=snapshot, stop=stop, ends_itself=wait_for_end or (bool(files) and snapshot is not None)
        )
        monitor.on_tick = director.tick
        import napari

        napari.run()
        monitor.close()
    if director.fault is not None:
        raise director.fault
    if director.is_owed:
        raise ServiceError(f"no snapshot at {snapshot}: the window was closed before the run had ended")
    return 0


def check_address(address: str) -> str:
    """Give an address back if it is one.

    Raises
    ------
    ServiceError
        If no feed can be served there.
    """
    if not ADDRESS.fullmatch(address):
        raise ServiceError(f"{address!r} is not an address: write it like tcp://127.0.0.1:24103")
    return address


def open_window(address: str | None, *, files: Sequence[Path] = (), oracle_of: "OracleOf | None" = None) -> "Monitor":
    """Open a napari window of operando's own on an address, or empty, to be fed with the entries of files."""
    import napari
    from napari.settings import get_settings
    from qtpy.QtWidgets import QApplication

    from viewer.colormaps import offer_in_napari
    from viewer.window import Monitor

    offer_in_napari()
    get_settings().application.confirm_close_window = False
    viewer = napari.Viewer(title="operando", show=False)
    viewer.theme = "light"
    viewer.window.set_geometry(0, 0, *SIZE)
    monitor = Monitor(viewer, Receiver(address) if address is not None else None, files=files, oracle_of=oracle_of)
    viewer.show()
    viewer.window.set_geometry(0, 0, *SIZE)
    QApplication.processEvents()
    return monitor


class Director:
    """Decides, after each tick, whether to take the picture and whether to end.

    Parameters
    ----------
    monitor
        The window.
    ends_itself
        Whether to end when the run has; otherwise when ``stop`` is set or the window is closed.
    """

    def __init__(self, monitor: "Monitor", *, snapshot: Path | None, stop: threading.Event | None, ends_itself: bool) -> None:
        self.fault: Exception | None = None
        self._monitor = monitor
        self._snapshot = snapshot
        self._stop = stop
        self._ends_itself = ends_itself
        self._n_ticks_to_wait: int | None = None

    def tick(self) -> None:
        """Take the picture when it is due, end when it is time."""
        is_stopped = self._stop is not None and self._stop.is_set()
        is_due = is_stopped or (self._is_over and self._monitor.is_settled)
        if self._snapshot is not None:
            self._approach(self._snapshot, is_due=is_due)
        elif is_stopped or (is_due and self._ends_itself):
            self._monitor.close()
            self._monitor.viewer.close()

    @property
    def is_owed(self) -> bool:
        """Whether a picture was asked for and has not been tried."""
        return self._snapshot is not None

    @property
    def _is_over(self) -> bool:
        return self._monitor.session.is_over or self._monitor.receiver is None

    def _approach(self, path: Path, *, is_due: bool) -> None:
        """Draw everything when the picture becomes due, and take it a few ticks later, when the layout has followed."""
        if not is_due:
            self._n_ticks_to_wait = None
        elif self._n_ticks_to_wait is None:
            self._monitor.forget_drawn()
            self._n_ticks_to_wait = POSE_TICKS
        elif self._n_ticks_to_wait > 0:
            self._n_ticks_to_wait -= 1
        else:
            self._take(path)

    def _take(self, path: Path) -> None:
        from viewer.snapshot import write_snapshot

        self._snapshot = None
        try:
            write_snapshot(self._monitor.viewer, path)
            logger.info("snapshot written", path=str(path))
        except (OSError, ServiceError) as wrong:
            self.fault = ServiceError(f"no snapshot at {path}: {wrong}")


@contextmanager
def _isolated_settings() -> Iterator[None]:
    """Let napari keep its settings in a folder that goes away: a monitor neither reads nor changes those of the user."""
    before = os.environ.get("NAPARI_CONFIG")
    with tempfile.TemporaryDirectory(prefix="operando-napari-") as folder:
        os.environ["NAPARI_CONFIG"] = str(Path(folder) / "settings.yaml")
        try:
            yield
        finally:
            os.environ.pop("NAPARI_CONFIG")
            if before is not None:
                os.environ["NAPARI_CONFIG"] = before
