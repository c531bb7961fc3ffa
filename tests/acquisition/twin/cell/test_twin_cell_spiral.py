from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from acquisition.twin.cell.rolls import ROLLS
from acquisition.twin.cell.spiral import Layer, Tab, lay_out, normals
from acquisition.twin.cell.voxels import fill_voxels

SPIRAL = replace(ROLLS["small"].spiral, al_tab=None)


def grid(n: int = 1200) -> tuple[np.ndarray, np.ndarray]:
    axis = np.linspace(-2.4, 2.4, n)
    x_mm, y_mm = np.meshgrid(axis, axis)
    return x_mm, y_mm


def test_stack_along_a_radius_is_in_its_order() -> None:
    radius = SPIRAL.core_mm + SPIRAL.pitch_mm * (1 + np.linspace(0.001, 0.999, 2000))
    code = lay_out(SPIRAL, radius, np.full(2000, 1e-9)).code
    changes = [Layer(int(code[0]))] + [Layer(int(b)) for a, b in pairwise(code) if a != b]

    assert [layer.name for layer in changes[:6]] == ["ANODE_IN", "CU", "ANODE_OUT", "SEPARATOR", "CATHODE_IN", "AL"]


def test_depth_grows_from_separator_to_foil_on_both_sides() -> None:
    radius = SPIRAL.core_mm + SPIRAL.pitch_mm * (1 + np.linspace(0.001, 0.999, 2000))
    layers = lay_out(SPIRAL, radius, np.full(2000, 1e-9))
    for layer, grows in ((Layer.ANODE_IN, 1), (Layer.ANODE_OUT, -1), (Layer.CATHODE_IN, 1)):
        depth = layers.depth[layers.code == layer]
        assert np.all(grows * np.diff(depth) > 0)
        assert depth.min() < 0.02
        assert depth.max() > 0.98


def test_first_turns_have_no_cathode_and_their_anode_no_partner() -> None:
    bare = replace(SPIRAL, bare_turns=1.0)
    x_mm, y_mm = grid()
    layers = lay_out(bare, x_mm, y_mm)
    is_inner = np.hypot(x_mm, y_mm) < bare.core_mm + bare.pitch_mm

    assert not np.isin(layers.code[is_inner], (Layer.CATHODE_IN, Layer.CATHODE_OUT, Layer.AL)).any()
    assert np.isin(layers.code[is_inner], (Layer.ANODE_IN, Layer.ANODE_OUT)).any()
    assert not layers.is_faced[is_inner & (layers.code == Layer.ANODE_OUT)].any()


def test_faced_areas_of_the_electrodes_differ_by_curvature_alone() -> None:
    voxels = fill_voxels(SPIRAL, extent_mm=4.8, voxel_mm=0.02, n_nodes=10)
    anode, cathode = (
        coating.part.sum() / thickness
        for coating, thickness in ((voxels.anode, SPIRAL.anode_mm), (voxels.cathode, SPIRAL.cathode_mm))
    )

    # One coating and a separator further out or in, alternately, at a mean radius of 1.3 mm: a few percent at most.
    assert anode == pytest.approx(cathode, rel=0.08)


def test_copper_is_as_long_as_its_spiral() -> None:
    voxels = fill_voxels(SPIRAL, extent_mm=4.8, voxel_mm=0.02, n_nodes=10)
    middle_mm, turns = SPIRAL.core_mm + SPIRAL.anode_mm + SPIRAL.cu_mm / 2, SPIRAL.last_turn
    length_mm = 2 * np.pi * (middle_mm * turns + SPIRAL.pitch_mm * turns**2 / 2)

    assert voxels.parts[Layer.CU].sum() * 0.02**2 / SPIRAL.cu_mm == pytest.approx(length_mm, rel=0.02)


def test_tab_is_metal_and_leaves_what_lies_across_from_it_idle() -> None:
    with_tab = replace(SPIRAL, al_tab=Tab(turn=1.0, width_mm=0.8))
    x_mm, y_mm = grid()
    without, layers = lay_out(SPIRAL, x_mm, y_mm), lay_out(with_tab, x_mm, y_mm)
    area_mm2 = (4.8 / 1199) ** 2
    tab = ((layers.code == Layer.AL) & (without.code == Layer.CATHODE_IN)).sum() * area_mm2
    idle = ((layers.code == Layer.ANODE_OUT) & without.is_faced & ~layers.is_faced).sum() * area_mm2

    assert tab == pytest.approx(0.8 * with_tab.cathode_mm, rel=0.15)
    assert idle == pytest.approx(0.8 * with_tab.anode_mm, rel=0.15)


@pytest.mark.parametrize("name", ["aaa", "18650", "small"])
def test_normal_is_where_depth_changes_fastest(name: str) -> None:
    spiral = ROLLS[name].spiral
    angle, radius = np.linspace(-3, 3, 40), (spiral.core_mm + spiral.roll_mm) / 2
    x_mm, y_mm = radius * np.cos(angle), radius * np.sin(angle)

    def height(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.hypot(x, y) - spiral.pitch_mm * np.unwrap(np.arctan2(y, x)) / (2 * np.pi)

    step = 1e-6
    gradient = np.arctan2(
        height(x_mm, y_mm + step) - height(x_mm, y_mm - step), height(x_mm + step, y_mm) - height(x_mm - step, y_mm)
    )
    assert np.cos(gradient - normals(spiral, x_mm, y_mm)) == pytest.approx(np.ones(40), abs=1e-6)


@pytest.mark.parametrize("name", ["aaa", "18650", "18650-aged"])
def test_published_sizes_hold_the_coatings(name: str) -> None:
    make = ROLLS[name]

    assert make.spiral.outer_mm == {"aaa": 5.085, "18650": 9.0, "18650-aged": 9.0}[name]
    assert make.extent_mm >= 2 * make.spiral.outer_mm
    assert make.spiral.anode_mm * 1e3 == pytest.approx(make.cell.anode_um)
    assert make.spiral.cathode_mm * 1e3 == pytest.approx(make.cell.cathode_um)
