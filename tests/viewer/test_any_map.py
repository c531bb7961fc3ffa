"""The messages describe the maps: whatever comes gets its layer, its title, its unit, its range and its colours."""

import matplotlib
import numpy as np
import pytest
from napari.components import ViewerModel

from operando.bus import Entry
from tests.viewer.conftest import map_published
from viewer.colormaps import FALLBACK, colour_table
from viewer.layers import MapLayers
from viewer.pins import Pins
from viewer.region_panel import Asked, column_of
from viewer.session import Session

MAPS = {
    "y_lithium": {"label": "y in LiyNMC", "unit": "", "low": 0.0, "high": 1.0, "colormap": "cividis"},
    "a_nmc": {"label": "a of NMC", "unit": "Å", "low": 2.81, "high": 2.88, "colormap": "plasma"},
    "rwp": {"label": "Rwp", "unit": "%", "low": 0.0, "high": 30.0, "colormap": "gray"},
    "wt_new": {"label": "a phase nobody has heard of", "unit": "wt%", "low": 0.0, "high": 5.0, "colormap": "no such scale"},
}


@pytest.fixture
def session() -> Session:
    found = Session()
    for k, (name, words) in enumerate(MAPS.items()):
        value = np.full((7, 9), words["low"] + 0.5 * (words["high"] - words["low"]), np.float32)
        message, arrays = map_published(name, value, revision=1, pixel_mm=0.1, **words)
        arrays["sigma"][:] = 0.004
        found.apply(Entry(number=k + 1, message=message, arrays=arrays))
    return found


def test_every_map_that_is_described_has_its_layer_once_it_is_looked_at_and_all_stand_in_their_order(session):
    viewer = ViewerModel()
    layers = MapLayers(viewer)
    layers.sync(session)
    assert layers.names == ["y_lithium"], "what nobody looks at costs nothing"
    for names in (["wt_new"], ["a_nmc", "rwp"], list(MAPS)):
        layers.choose(names, session)
        assert layers.visible_names == names
    assert layers.names == list(MAPS)
    places = [viewer.layers.index(layers.layer(name)) for name in MAPS]
    assert places == sorted(places)
    assert [viewer.layers.index(layers.marks_layer(name)) for name in MAPS] == [place + 1 for place in places]
    assert all(place % viewer.canvas.grid.stride == 0 for place in places), "map and marks share a cell"
    for name, words in MAPS.items():
        layer = layers.layer(name)
        unit = f" ({words['unit']})" if words["unit"] else ""
        assert layer.name == f"{words['label']}{unit}"
        assert tuple(layer.contrast_limits) == (words["low"], words["high"])
        assert [str(unit) for unit in layer.units[-2:]] == ["millimeter", "millimeter"]
    layers.close()


def test_a_map_that_is_chosen_before_it_comes_is_seen_when_it_comes(session):
    layers = MapLayers(ViewerModel())
    layers.sync(session)
    layers.choose(["late"], session)
    assert layers.visible_names == []
    message, arrays = map_published("late", np.zeros((7, 9), np.float32), pixel_mm=0.1)
    session.apply(Entry(number=9, message=message, arrays=arrays))
    layers.sync(session)
    assert layers.visible_names == ["late"]


def test_colour_scales_are_those_of_napari_and_of_matplotlib_and_even_where_nobody_knows_them():
    expected = matplotlib.colormaps["cividis"](np.linspace(0, 1, 256))
    np.testing.assert_allclose(colour_table("cividis"), expected, atol=1e-6)
    np.testing.assert_array_equal(colour_table("no such scale"), colour_table(FALLBACK))


def test_the_table_of_a_voxel_has_a_row_for_every_map_to_the_last_digit_of_its_uncertainty(session):

    voxels = np.zeros((7, 9), bool)
    voxels[3, 4] = True
    pin = Pins().pin(session.stacks["a_nmc"].grid, voxels, keep=False)
    rows = column_of(Asked(pin=pin, scan=session.shown, session=session, is_awaited=False))
    assert rows["a of NMC"] == "2.845 ± 0.004 Å"
    assert rows["Rwp"] == "15.000 ± 0.004 %"
    assert set(rows) == {words["label"] for words in MAPS.values()}
