"""Maps as napari layers: each made once, when it is first looked at, from what its message declares; then only given new data.

Thirty maps that nobody looks at would cost napari ten seconds to begin with, and a second for each choice: it goes through all
layers with all layers. The tiles show them all.

A layer has the axes (scan, y, x) and stands in millimetres, y upwards. Behind each lies a picture of its marks; the two share a
cell of napari's grid. Colour scales and their limits come from the messages and are set once; after that contrast, camera and
visibility belong to the user. This module needs napari's model only, no window.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from operando.messages import MapPublished
from viewer.canvas import fit, laid_out_once, lay_out_canvas
from viewer.checks import Shown
from viewer.map_pair import MARKS, MARKS_ON, MapPair, make_pair
from viewer.marks import Mark
from viewer.session import Session
from viewer.stacks import Stack

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

SIGMA_SHARE = 0.15
"""The uncertainty's scale ends at this part of the quantity's: more than that is no measurement."""
_SIGMA = "sigma of "


class MapLayers:
    """Keeps one layer for each map of a session that was looked at, and one for its uncertainty once it stood alone.

    A map that is shown alone has its uncertainty beside it, unless the user wants it alone.

    Parameters
    ----------
    viewer
        The napari viewer or its model.
    """

    def __init__(self, viewer: "ViewerModel") -> None:
        self._viewer = viewer
        self._pairs: dict[str, MapPair] = {}
        self._has_begun = False
        self._looked_at: set[str] = set()
        self._chosen: frozenset[str] = frozenset()
        self._removed: set[str] = set()
        """Uncertainties that the user has removed."""
        self._marks: tuple[Mark, ...] = ()
        self._session: Session | None = None
        self._has_sigma_beside = True
        self._is_compared = False
        self._is_rearranging = False
        self.is_moving = False
        """Whether this object is changing layers or the slider now; events meanwhile are not the user's."""
        self.is_stale = False
        """Whether something has come into sight that a sync must draw."""
        lay_out_canvas(viewer)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.events.status.connect(self._on_status)

    def close(self) -> None:
        """Listen to the viewer no more; the layers stay."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self._viewer.events.status.disconnect(self._on_status)

    @property
    def names(self) -> list[str]:
        """Machine names of the maps that have a layer, in order."""
        return [name for name in self._pairs if not name.startswith(_SIGMA)]

    @property
    def visible_names(self) -> list[str]:
        """Machine names of the maps that are on the screen, in order."""
        return [name for name in self.names if self._pairs[name].image.visible]

    def layer(self, name: str) -> "Image":
        """Give the layer of a map."""
        return self._pairs[name].image

    def marks_layer(self, name: str) -> "Image":
        """Give the layer of a map's marks."""
        return self._pairs[name].marks

    def sync(self, session: Session) -> bool:
        """Bring layers and slider up to a session; true if there was no map before, so that the view must be fitted."""
        is_first = not self._pairs
        self.is_stale = False
        if not self._has_begun and session.stacks:
            self._has_begun = True
            self._looked_at.add(next(iter(session.stacks)))
        wanted = {name: stack for name, stack in session.stacks.items() if name in self._looked_at}
        is_lacking = any(name in scan.maps for name in wanted.keys() - self._pairs.keys() for scan in session.scans)
        active = self._viewer.layers.selection.active
        self._session = session
        with self.moving(), self.rearranging() if is_lacking else nullcontext():
            for name, stack in wanted.items():
                self._show(name, stack, session)
            for name in set(self.names) - set(session.stacks):
                self._blank(name)
            self._step_to(session.timeline.index)
            if self._alone is not None and _SIGMA + self._alone not in self._pairs:
                self._put_sigma_beside()
        is_first = is_first and bool(self._pairs)
        if is_first or (is_lacking and active in self._viewer.layers):
            self._choose_layer(self._pairs[self.names[0]].image if is_first else active)
        return is_first

    def choose(self, names: list[str], session: Session) -> None:
        """Show these maps and no others, side by side."""
        self._chosen = frozenset(names)
        self._looked_at.update(names)
        self._removed -= {_SIGMA + name for name in names}
        if names == self.visible_names:
            return
        with self.rearranging():
            self.sync(session)
            for name, pair in self._pairs.items():
                pair.show(is_visible=name in names)
            self.sync(session)
            self._put_sigma_beside()
        if names and names[0] in self._pairs:
            self._choose_layer(self._pairs[names[0]].image)

    def toggle_sigma(self) -> None:
        """Show the uncertainty beside a map that stands alone, or let it stand alone."""
        self._has_sigma_beside = not self._has_sigma_beside
        self._put_sigma_beside()
        fit(self._viewer)

    def pair(self, name: str) -> MapPair:
        """Give the two layers of a map."""
        return self._pairs[name]

    def compare(self, is_compared: bool) -> None:
        """Leave the place beside each map to another scan's, or take it back."""
        if is_compared != self._is_compared:
            self._is_compared = is_compared
            self._put_sigma_beside()
            for name in self.names:
                self._pairs[name].caption()

    @property
    def _alone(self) -> str | None:
        """The one map that is on the screen, if its uncertainty is to be beside it."""
        names = self.visible_names
        return names[0] if len(names) == 1 and self._has_sigma_beside and not self._is_compared else None

    def _put_sigma_beside(self) -> None:
        """Show the uncertainty of the one map that is on the screen, if it is wanted and known."""
        if (alone := self._alone) is not None and _SIGMA + alone not in self._pairs:
            self._make_sigma(alone)
        sigmas = {name: self._pairs[_SIGMA + name] for name in self.names if _SIGMA + name in self._pairs}
        changing = [name for name, pair in sigmas.items() if pair.image.visible != (name == alone)]
        with self.rearranging() if changing else nullcontext():
            for name in changing:
                sigmas[name].show(is_visible=not sigmas[name].image.visible)

    def mark(self, marks: Sequence[Mark]) -> None:
        """Outline voxels in every map."""
        self._marks = tuple(marks)
        self.is_stale = True

    def set_text(self, text: str) -> None:
        """Write a line into every map's cell; an unchanged text costs nothing."""
        overlay = self._viewer.canvas.overlays.text
        if overlay.text != text:
            overlay.text = text

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Change layers or the slider, so that nobody takes it for the user's doing."""
        before, self.is_moving = self.is_moving, True
        try:
            yield
        finally:
            self.is_moving = before

    @contextmanager
    def rearranging(self) -> Iterator[None]:
        """Add, remove, hide and show layers, and let napari lay out its grid once, at the end; may be nested."""
        if self._is_rearranging:
            yield
            return
        self._is_rearranging = True
        try:
            with laid_out_once(self._viewer):
                yield
        finally:
            self._is_rearranging = False

    def _show(self, name: str, stack: Stack, session: Session) -> None:
        shown, newest = session.shown.maps.get(name), self._newest(name, session)
        if newest is None:
            return
        message = newest.message
        pair = self._pairs.get(name)
        if pair is None:
            pair = self._make(name, title(message), stack.value, message.colormap, (message.low, message.high))
            self._put_in_order(list(session.stacks))
        sigma = self._pairs.get(_SIGMA + name)
        for one, arrays in [(pair, stack.value), *([] if sigma is None else [(sigma, stack.sigma)])]:
            one.give(arrays, stack.grid, shown)
            if one.image.visible:
                one.mark(stack.grid, shown, self._marks)

    def _make_sigma(self, name: str) -> None:
        """Make the layer of a map's uncertainty, when the map first stands alone: napari draws slower with every layer."""
        stack = None if self._session is None else self._session.stacks.get(name)
        newest = None if self._session is None else self._newest(name, self._session)
        if stack is None or newest is None or "sigma" not in newest.arrays or _SIGMA + name in self._removed:
            return
        message = newest.message
        limits = (0.0, SIGMA_SHARE * (message.high - message.low))
        with self.moving(), self.rearranging():
            pair = self._make(_SIGMA + name, f"σ of {title(message)}", stack.sigma, "magma", limits)
            pair.give(stack.sigma, stack.grid, newest)
        # What belongs to the scan on the slider comes with the next sync.
        self.is_stale = True

    @staticmethod
    def _newest(name: str, session: Session) -> Shown[MapPublished] | None:
        """Give a map of the scan that is shown, or of the newest that has it."""
        shown = session.shown.maps.get(name)
        return shown or next((scan.maps[name] for scan in reversed(session.scans) if name in scan.maps), None)

    def _step_to(self, index: int) -> None:
        dims = self._viewer.dims
        axis = dims.ndim - 3
        if axis >= 0 and dims.current_step[axis] != index:
            dims.set_current_step(axis, index)

    def _make(self, name: str, shown_name: str, value: NDArray[Any], colormap: str, limits: tuple[float, float]) -> MapPair:
        # A map that was chosen before it came is seen when it comes.
        is_visible = not self._pairs or name in self._chosen
        pair = self._pairs[name] = make_pair(
            self._viewer, value, title=shown_name, colormap=colormap, limits=limits, is_visible=is_visible
        )
        pair.image.events.visible.connect(lambda: self._follow_eye(pair))
        return pair

    def _choose_layer(self, layer: "Image") -> None:
        """Choose a layer for napari's own tools: it chooses every one that is added, and names it in the status line."""
        self._viewer.layers.selection.active = layer
        self._viewer.status = ""

    def _put_in_order(self, names: list[str]) -> None:
        """Let the newest pair stand where its map stands among the maps: the order of layers is that of the grid's cells."""
        *others, newest = self._pairs
        later = [name for name in others if name in names[names.index(newest) :]]
        if later:
            pair, layers = self._pairs[newest], self._viewer.layers
            layers.move_multiple(
                [layers.index(pair.image), layers.index(pair.marks)], layers.index(self._pairs[later[0]].image)
            )
            kept = self._pairs.pop(newest)
            at = others.index(later[0])
            self._pairs = dict([*list(self._pairs.items())[:at], (newest, kept), *list(self._pairs.items())[at:]])

    def _follow_eye(self, pair: MapPair) -> None:
        """Hide and show the marks with their map."""
        if pair.marks.visible != pair.image.visible:
            with self.rearranging():
                pair.marks.visible = pair.image.visible
        self.is_stale = True

    def _blank(self, name: str) -> None:
        """Show nothing where the session has no such map any more; the layer stays for when it comes."""
        for stale in (name, _SIGMA + name):
            if stale in self._pairs:
                self._pairs[stale].blank()

    def _on_status(self) -> None:
        """Let the status line say nothing of marks: napari tells of a layer as soon as it is added, or later from a thread."""
        told = status.get("layer_name", "") if isinstance(status := self._viewer.status, dict) else status
        # A layer may have been renamed since its status was put together.
        names = [MARKS_ON, *(layer.name for layer in self._viewer.layers if MARKS in layer.metadata)]
        if told.startswith(tuple(names)):
            self._viewer.status = ""

    def _on_removed(self, event: Any) -> None:
        """Let a map go that the user has removed; it comes again when it is chosen again."""
        for name, pair in list(self._pairs.items()):
            if event.value in (pair.image, pair.marks):
                del self._pairs[name]
                self._looked_at.discard(name)
                self._removed.add(name)
                other = pair.marks if event.value is pair.image else pair.image
                if other in self._viewer.layers:
                    self._viewer.layers.remove(other)


def title(message: MapPublished) -> str:
    """Write what a map shows and its unit."""
    return f"{message.label} ({message.unit})" if message.unit else message.label
