"""What a window shows, as one number: two windows with the same fingerprint show a person the same.

For tests and for trust: a file must show what was seen live, a viewer that came late what one sees that was there all the time.

Compared are, of every scan: the maps (values, places, units, estimator, how complete, why there are holes), their layers with
colours, contrast limits and visibility, the texts on the maps, sinograms, patterns, times; and the readings of the cell: time,
voltage, current, charge, temperature. Left out is what a file does not keep: the last frame, its rings and its cake, the
detector's counters, the notices, the age of the data, how the acquisition stands. Left out is what belongs to the person who
looks: zoom and place of the camera, sizes of the window and its panels, pins, regions, the line, and the scan beside. The steps
of the cycler are not compared by name.
"""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from viewer.readings import COLUMNS
from viewer.session import Session
from viewer.words import centre_words, progress_words, run_words, scan_words

if TYPE_CHECKING:
    from napari.components import ViewerModel


def fingerprint(viewer: "ViewerModel", session: Session) -> str:
    """Give a hash over layers (names, data, contrast limits, colours, places), texts, times and the readings of the cell."""
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
    # Six digits of the seconds since 1970 would be a quarter of an hour.
    yield "times of the readings", tuple(round(float(time_s), 3) for time_s in readings.time_s)
    yield "cell", tuple(_numbers(readings.column(name)) for name in COLUMNS if name != "time_s")


def _numbers(values: Any) -> tuple[float | None, ...]:
    """Round to what can be seen, so that the last digit of a unit's conversion makes no difference; None for NaN."""
    return tuple(None if np.isnan(value) else float(f"{float(value):.6g}") for value in np.ravel(values))


def _colours(colormap: Any) -> str:
    """Tell colour scales by their colours: napari gives each of a name another number."""
    return hashlib.sha256(np.asarray(colormap.colors, dtype=np.float32).tobytes()).hexdigest()


def _arrays(arrays: Any) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name, hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()) for name, array in sorted(arrays.items())
    )
