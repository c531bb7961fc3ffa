"""What a window shows, as one number: two windows with the same fingerprint show a person the same.

For tests and for trust: a file must show what was seen live, a viewer that came late what one sees that was there all the time.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from viewer.session import Session
from viewer.words import centre_words, progress_words, run_words, scan_words

if TYPE_CHECKING:
    from napari.components import ViewerModel


def fingerprint(viewer: "ViewerModel", session: Session) -> str:
    """Give a hash over layers (names, data, contrast limits, colours, places), texts, times and the cell's history."""
    digest = hashlib.sha256()
    for part in shown_parts(viewer, session):
        digest.update(repr(part).encode())
    return digest.hexdigest()


def shown_parts(viewer: "ViewerModel", session: Session) -> Iterator[tuple[str, Any]]:
    """Give everything that is shown, piece by piece, so that two views can also be compared where they differ."""
    for layer in viewer.layers:
        data = np.asarray(layer.data)
        yield f"layer {layer.name}", (data.shape, data.dtype.str, hashlib.sha256(data.tobytes()).hexdigest())
        yield f"look of {layer.name}", (bool(layer.visible), layer.blending, _numbers(layer.scale), _numbers(layer.translate))
        if not layer.rgb:
            yield f"scale of {layer.name}", (_numbers(layer.contrast_limits), _colours(layer.colormap))
    yield "text", viewer.canvas.overlays.text.text
    yield "scan", (session.timeline.index, len(session.scans))
    for scan in session.scans:
        yield f"words of {scan.run}", (run_words(session), progress_words(session), scan_words(session))
        yield f"time of {scan.run}", (scan.start_s, scan.end_s)
        for name, shown in scan.maps.items():
            message = shown.message
            lines = (message.n_lines, message.n_lines_expected)
            yield f"map {name}", (message.label, message.unit, message.estimator, lines, message.reasons, message.empty_reasons)
        for name, sinogram in scan.sinograms.items():
            yield f"sinogram {name}", (sinogram.message.label, centre_words(sinogram.message), _arrays(sinogram.arrays))
        for name, pattern in scan.patterns.items():
            yield f"pattern {name}", (pattern.message.label, pattern.message.unit, _arrays(pattern.arrays))
    readings = session.readings
    yield "cell", tuple(_numbers(readings.column(name)) for name in ("time_s", "voltage_v", "current_a"))


def _numbers(values: Any) -> tuple[float, ...]:
    """Round to what can be seen, so that the last digit of a unit's conversion makes no difference."""
    return tuple(float(f"{float(value):.6g}") for value in np.ravel(values))


def _colours(colormap: Any) -> str:
    """Tell colour scales by their colours: napari gives each of a name another number."""
    return hashlib.sha256(np.asarray(colormap.colors, dtype=np.float32).tobytes()).hexdigest()


def _arrays(arrays: Any) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()) for name, array in sorted(arrays.items())
    )
