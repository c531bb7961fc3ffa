"""What the analysis published and what it archived give the same maps to the eye."""

from pathlib import Path

import numpy as np
from napari.components import ViewerModel

from operando.bus import Entry, MemoryStore
from operando.messages import CellReading, LineWritten, RunStopped
from streaming.analysis import Analysis
from streaming.line_file import write_line
from tests.streaming.phantom import RUN, Phantom, a_run, demo_profile
from viewer.fingerprint import fingerprint, shown_parts
from viewer.layers import MapLayers
from viewer.replay import entries_from_archive
from viewer.session import Session
from viewer.words import scan_words

N_LINES_FLOWN = 8


def test_a_file_shows_the_same_maps_as_the_feed_did(tmp_path):
    live = analysed(tmp_path)
    replayed = Session()
    for entry in entries_from_archive(tmp_path / "scan.nxs"):
        replayed.apply(entry)
    assert live.n_refused == replayed.n_refused == 0
    assert set(live.tomogram.maps) == set(replayed.tomogram.maps)
    assert next(iter(live.tomogram.maps)) == next(iter(replayed.tomogram.maps)) == "x_lithium"
    for name, shown in live.tomogram.maps.items():
        other = replayed.tomogram.maps[name]
        for array in ("value", "sigma", "reason"):
            np.testing.assert_array_equal(shown.arrays[array], other.arrays[array])
        for field in (
            "label",
            "unit",
            "low",
            "high",
            "colormap",
            "estimator",
            "n_lines",
            "n_lines_expected",
            "x_first_mm",
            "reasons",
        ):
            assert getattr(shown.message, field) == getattr(other.message, field), field
    assert len(live.readings) == len(replayed.readings) == 4
    for column in ("time_s", "voltage_v", "current_a", "charge_ah", "temperature_c"):
        np.testing.assert_array_equal(live.readings.column(column), replayed.readings.column(column))
    assert live.cell_of(live.shown) == replayed.cell_of(replayed.shown)
    live_sinogram, other_sinogram = (next(iter(s.tomogram.sinograms.values())) for s in (live, replayed))
    assert live_sinogram.arrays["sinogram"].shape == other_sinogram.arrays["sinogram"].shape
    assert replayed.is_over
    assert replayed.tomogram.patterns


def test_a_file_gives_the_very_view_that_was_live(tmp_path):
    live = analysed(tmp_path)
    replayed = Session()
    for entry in entries_from_archive(tmp_path / "scan.nxs"):
        replayed.apply(entry)
    seen, seen_again = (dict(shown_parts(view_of(session), session)) for session in (live, replayed))
    assert seen_again == seen
    assert fingerprint(view_of(replayed), replayed) == fingerprint(view_of(live), live)
    assert len([part for part in seen if part.startswith("layer ")]) > 18, "maps, their marks and an uncertainty"


def test_a_fingerprint_tells_views_apart_that_look_different(tmp_path):
    live = analysed(tmp_path)
    viewer = view_of(live)
    prints = {fingerprint(viewer, live)}
    viewer.layers[0].contrast_limits = (0.0, 0.9)
    prints.add(fingerprint(viewer, live))
    viewer.canvas.overlays.text.text = "another"
    prints.add(fingerprint(viewer, live))
    viewer.layers[0].data = viewer.layers[0].data + np.float32(1e-6)
    prints.add(fingerprint(viewer, live))
    live.apply(Entry(number=1, message=CellReading(time_s=1.0, voltage_v=3.0, current_a=0.0)))
    prints.add(fingerprint(viewer, live))
    assert len(prints) == 5
    for quantity in ("voltage_v", "current_a", "charge_ah", "temperature_c"):
        other = {"voltage_v": 3.0, "current_a": 0.0, "charge_ah": 0.5, "temperature_c": 25.0} | {quantity: 9.0}
        live.apply(Entry(number=2, message=CellReading(time_s=1.0, **other)))
        prints.add(fingerprint(viewer, live))
    assert len(prints) == 9, "a reading in which one quantity differs is another history of the cell"


def view_of(session: Session) -> ViewerModel:
    """Show a session without a window, as a window would."""
    viewer = ViewerModel()
    layers = MapLayers(viewer)
    layers.sync(session)
    layers.choose(list(session.stacks), session)
    layers.choose(list(session.stacks)[:1], session)
    layers.set_text(scan_words(session))
    return viewer


def analysed(out: Path) -> Session:
    phantom, store, clock = Phantom(demo_profile(), photons=3000), MemoryStore(), iter(range(100, 10_000)).__next__
    analysis = Analysis(phantom.profile, phantom.model, out=out, store=store, clock=clock, wall_clock=lambda: 5000.0)
    run = a_run()
    analysis.hear(CellReading(time_s=run.time_s - 5, voltage_v=3.0, current_a=0.0, step="rest"), {})
    analysis.hear(run, {})
    for k, charge_ah in enumerate([0.1, 0.2, None, 0.4]):
        cell = {"voltage_v": 3.5 + 0.1 * k, "current_a": 1.0, "charge_ah": charge_ah, "temperature_c": 25.0 + k}
        reading = CellReading(time_s=run.time_s + k, step="charge", **cell)
        analysis.hear(reading, {})
    for number in range(N_LINES_FLOWN):
        line = phantom.line(number)
        path = write_line(line, out / "lines")
        analysis.hear(
            LineWritten(
                run=RUN,
                line=number,
                attempt=0,
                path=str(path),
                n_points=line.is_received.size,
                n_received=line.is_received.size,
                missing_ids=[],
                series=line.series,
                last_frame_s=line.end_s,
                time_s=line.end_s,
            ),
            {},
        )
    analysis.hear(RunStopped(run=RUN, exit_status="success", time_s=2000.0), {})
    for _ in range(N_LINES_FLOWN + 4):
        analysis.work()
    session = Session()
    for entry in store.since(0, limit=10_000):
        if not isinstance(entry.message, CellReading) or entry.message.time_s >= run.time_s:
            session.apply(entry)
    return session
