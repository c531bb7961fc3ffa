"""Which scan stands beside another: by number, charge, voltage or direction, in one session or between two."""

import numpy as np
import pytest
from napari.components import ViewerModel

from operando.bus import Entry
from operando.messages import CellReading, ServicesOffered
from tests.viewer.conftest import map_published, run_started
from viewer.beside import Beside, Rule, beside_text, mirrored_pin
from viewer.beside_layers import BesideLayers
from viewer.canvas import fit
from viewer.cell_state import CellState
from viewer.layers import MapLayers
from viewer.session import Session

N = 11
CHARGES_AH = [0.1, 0.2, 0.3, 0.4, 0.33, 0.22, 0.11]
"""Of the scans of a cycle: four while it charges, three while it discharges."""


def cycle(charges_ah=CHARGES_AH, *, n: int = N, pixel_mm: float = 0.1, run: str = "r", voltage_v: float = 3.0) -> Session:
    """A session whose k-th scan has the map k/10, at a charge and at 3 V plus it."""
    session = Session()
    for k, charge_ah in enumerate(charges_ah):
        time_s = 1000.0 + 100 * k
        session.apply(entry(run_started(f"{run}{k}").model_copy(update={"time_s": time_s})))
        before = charges_ah[k - 1] if k else None
        rises = before is None or charge_ah is None or charge_ah > before
        for moment_s in (time_s, time_s + 50):
            current_a = None if charge_ah is None else 1.0 if rises else -1.0
            voltage = None if charge_ah is None else voltage_v + charge_ah
            reading = CellReading(time_s=moment_s, voltage_v=voltage, current_a=current_a, charge_ah=charge_ah)
            session.apply(entry(reading))
        first = -pixel_mm * (n - 1) / 2
        message, arrays = map_published(
            "x", np.full((n, n), k / 10, np.float32), run=f"{run}{k}", label="x", data_time_s=time_s + 50, revision=k + 1,
            pixel_mm=pixel_mm, x_first_mm=first, y_first_mm=first, cell=None,
        )  # fmt: skip
        session.apply(Entry(number=1, message=message, arrays=arrays))
    return session


def entry(message):
    return Entry(number=1, message=message)


def beside(session: Session, rule: Rule, other: Session | None = None) -> Beside:
    return Beside(session, other or session, rule, ("A", "B"))


@pytest.mark.parametrize(("shown", "found"), [(0, 6), (1, 5), (2, 4), (3, 4), (4, 2), (5, 1), (6, 0)])
def test_the_discharge_stands_beside_the_charge_at_the_nearest_charge(shown, found):
    session = cycle()
    session.show(shown)
    assert beside(session, Rule.OTHER_WAY).index == found


def test_a_scan_at_rest_or_without_a_current_has_no_other_way():
    session = cycle([0.1, 0.2])
    assert beside(session, Rule.OTHER_WAY).index is None, "there is no discharge"
    unknown = cycle([None, 0.2, 0.1])
    unknown.show(0)
    assert beside(unknown, Rule.OTHER_WAY).index is None
    resting = cycle()
    resting.show(0)
    for moment_s in (1000.0, 1050.0):
        resting.apply(entry(CellReading(time_s=moment_s, voltage_v=3.1, current_a=0.001, charge_ah=0.1)))
    assert beside(resting, Rule.OTHER_WAY).index is None


@pytest.mark.parametrize(
    ("rule", "shown", "found"),
    [(Rule.FIRST, 3, 0), (Rule.FIRST, 0, None), (Rule.BEFORE, 3, 2), (Rule.BEFORE, 0, None)],
)
def test_a_scan_stands_beside_an_earlier_one_of_its_own(rule, shown, found):
    session = cycle()
    session.show(shown)
    assert beside(session, rule).index == found


def test_another_session_follows_the_slider_by_charge_voltage_or_number():
    session, other = cycle(), cycle([0.05, 0.21, 0.39], voltage_v=3.15, run="old")
    by = {rule: beside(session, rule, other) for rule in (Rule.CHARGE, Rule.VOLTAGE, Rule.NUMBER)}
    expected = {0: (0, 0, 0), 1: (1, 0, 1), 3: (2, 1, 2), 6: (0, 0, 2)}
    for shown, found in expected.items():
        session.show(shown)
        assert tuple(one.index for one in by.values()) == found
        assert by[Rule.NUMBER].shown is other.scans[found[2]]
    assert by[Rule.NUMBER].map_of("x").arrays["value"][0, 0] == np.float32(0.2)
    assert by[Rule.NUMBER].map_of("nothing") is None


def test_the_other_cell_is_taken_while_it_charges_or_discharges_too_if_it_ever_did():
    session, other = cycle(), cycle([0.1, 0.23, 0.5, 0.19, 0.12], run="old")
    found = {}
    for shown in (1, 5):
        session.show(shown)
        found[shown] = (beside(session, Rule.CHARGE, other).index, beside(session, Rule.VOLTAGE, other).index)
    assert found == {1: (1, 1), 5: (3, 3)}, "the scan of the other direction is nearer in both"


def test_where_no_charge_is_known_another_session_gives_its_newest_scan():
    session, other = cycle([None, None]), cycle([0.1, 0.2, 0.3])
    assert beside(session, Rule.CHARGE, other).index == 2
    assert beside(session, Rule.CHARGE, cycle([None])).index == 0
    assert beside(session, Rule.CHARGE, Session()).index is None
    assert beside(Session(), Rule.CHARGE, other).index is None
    assert beside(session, Rule.CHARGE, Session()).shown.maps == {}
    assert beside(session, Rule.CHARGE, Session()).state() == CellState()


def test_a_scan_that_comes_is_considered_at_once():
    session = cycle()
    one = beside(session, Rule.BEFORE)
    assert one.index == 5
    session.apply(entry(run_started("new").model_copy(update={"time_s": 5000.0})))
    assert one.index == 6


def test_pins_stand_at_the_same_places_of_another_grid_and_keep_their_answers():
    session, other = cycle(), cycle([0.1], n=21, pixel_mm=0.05, run="old")
    one = beside(session, Rule.CHARGE, other)
    voxels = np.zeros((N, N), bool)
    voxels[8, 2] = True
    grid = session.stacks["x"].grid
    pin = session.pins.pin(grid, voxels, keep=False)
    one.mirror_pins()
    twin = one.mirrored(pin)
    assert grid.place_mm(8, 2) == pytest.approx(twin.grid.place_mm(*np.argwhere(twin.voxels)[0]))
    assert (twin.label, twin.colour) == (pin.label, pin.colour)
    one.mirror_pins()
    assert one.mirrored(pin) is twin
    second = session.pins.pin(grid, np.roll(voxels, 1), keep=True)
    one.mirror_pins()
    assert one.mirrored(pin) is twin
    assert one.pins.items == [twin, one.mirrored(second)]
    session.clear_pins()
    one.mirror_pins()
    assert one.pins.items == []
    assert one.mirrored(pin) is None


def test_a_pin_outside_the_other_map_has_no_twin():
    session, other = cycle(), cycle([0.1], n=3, run="old")
    voxels = np.zeros((N, N), bool)
    voxels[0, 0] = True
    pin = session.pins.pin(session.stacks["x"].grid, voxels, keep=False)
    assert mirrored_pin(pin, other.stacks["x"].grid) is None
    one = beside(session, Rule.CHARGE, other)
    one.mirror_pins()
    assert one.pins.items == []


def test_the_words_of_a_place_tell_both_and_their_difference():
    session, other = cycle(), cycle([0.1, 0.2], run="old")
    session.show(3)
    text = beside_text(beside(session, Rule.NUMBER, other), "x", x_mm=0.1, y_mm=0.1)
    assert text.startswith("B: x at x 0.10 mm, y 0.10 mm: 0.1")
    assert text.endswith("difference 0.200 ± 0.042")
    assert beside_text(beside(session, Rule.NUMBER, other), "x", x_mm=9.0, y_mm=0.0) == ""


def test_who_answers_for_the_other_scan_is_whom_its_own_source_names():
    session, other = cycle(), cycle()
    other.apply(entry(ServicesOffered(questions="tcp://127.0.0.1:5", time_s=0.0)))
    assert beside(session, Rule.CHARGE, other).services.questions == "tcp://127.0.0.1:5"
    assert beside(session, Rule.FIRST).services is None


def test_the_other_map_gets_a_layer_next_to_its_twin_with_linked_limits_and_the_difference_its_own():
    session, other = cycle(), cycle([0.1, 0.2], run="old")
    session.show(3)
    viewer = ViewerModel()
    layers = MapLayers(viewer)
    layers.sync(session)
    compared = BesideLayers(viewer, layers)
    compared.has_difference = True
    compared.sync(beside(session, Rule.NUMBER, other))
    viewer.add_points([[0.0, 0.0]], name="the user's own", visible=False)
    viewer.layers["the user's own"].visible = True
    fit(viewer)
    viewer.layers.remove("the user's own")
    twin, pair, less = layers.pair("x"), compared.pair("x"), compared.pair("x", is_difference=True)
    visible = [layer for layer in viewer.layers if layer.visible]
    assert visible == [twin.image, twin.marks, pair.image, pair.marks, less.image, less.marks]
    np.testing.assert_array_equal(pair.image.data, np.full((N, N), 0.1, np.float32))
    np.testing.assert_allclose(less.image.data, 0.2, atol=1e-6)
    assert less.image.colormap.name == "difference"
    assert (twin.words.split("\n")[0], pair.words.split("\n")[0]) == ("A", "B")
    assert "scan 4 of 7" in twin.words
    assert "3.200 V" in pair.words
    pair.image.contrast_limits = (0.1, 0.3)
    assert tuple(twin.image.contrast_limits) == (0.1, 0.3)
    assert "[1]" not in "".join(layer.name for layer in viewer.layers)

    viewer.layers.remove(pair.marks)
    compared.sync(beside(session, Rule.NUMBER, other))
    assert compared.pair("x") is not pair
    assert pair.image not in viewer.layers

    session.show(0)
    compared.sync(beside(session, Rule.BEFORE))
    assert "no scan" in compared.pair("x").words
    assert np.isnan(compared.pair("x").image.data).all()
    assert "no difference" in less.words
    compared.sync(None)
    assert compared.visible_names == []
    assert twin.words == ""
    layers.close()
