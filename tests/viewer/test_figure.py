"""Panels for a paper: the colours of known voxels, the words, the same bytes again."""

import re
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from operando.errors import OutputError
from operando.messages import CellReading
from viewer.cell_state import CellState, cell_in_the_middle
from viewer.checks import Shown
from viewer.colormaps import EVEN, PRINT, PUBLISHED, colour_table, lightness
from viewer.figure import Panel, capacity_words, draw_figure, letter, voltage_words, write_figure
from viewer.map_axes import filled_box, map_picture, round_length
from viewer.sample import PIXEL_MM, lithium, write_sample
from viewer.scan_file import ScanFile, read_scan
from viewer.sheet import Layout
from viewer.two_colours import two_colours


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> list[ScanFile]:
    folder = tmp_path_factory.mktemp("scans")
    for k, charge in enumerate([0.05, 0.5, 0.95]):
        write_sample(folder / f"{k}.nxs", charge=charge, run=f"run-{k}")
    return [read_scan(folder / f"{k}.nxs") for k in range(3)]


def panels(scans: list[ScanFile], *names: str) -> list[Panel]:
    return [Panel(shown=scan.maps_named(name)[0], cell=scan.cell) for name in names or ("x_lithium",) for scan in scans]


def test_every_voxel_of_a_figure_has_the_colour_of_its_x(scans, tmp_path):
    write_figure(tmp_path / "f.png", panels(scans[1:2]))
    picture = imageio.imread(tmp_path / "f.png")[..., :3].astype(int)
    figure = draw_figure(panels(scans[1:2]), Layout())
    axes = figure.axes[0]
    figure.dpi = Layout().dpi
    x = lithium(0.5)
    rows, columns = np.nonzero(np.isfinite(x))
    assert len(rows) > 500
    mm = (np.stack([columns, rows], axis=-1) - (len(x) - 1) / 2) * PIXEL_MM
    across, up = axes.transData.transform(mm).T
    found = picture[(len(picture) - up).astype(int), across.astype(int)]
    wanted = np.stack([255 * x[rows, columns], *np.zeros((2, len(rows)))], axis=-1)
    # The scale bar and the words stand below the map and the letter beside it: none covers a voxel.
    np.testing.assert_allclose(found, wanted, atol=3)


def test_a_hole_is_hatched_and_what_is_empty_stays_white(scans):
    shown = scans[1].maps_named("x_lithium")[0]
    reason = shown.arrays["reason"].copy()
    hole = np.zeros(reason.shape, dtype=bool)
    hole[:5, :5] = True
    reason[hole] = 2
    assert shown.message.reasons[2] == "not measured yet"
    with_hole = Shown(message=shown.message, arrays={**shown.arrays, "reason": reason})
    alpha = map_picture(with_hole, colormap=PUBLISHED, low=0, high=1)[..., 3]
    times = len(alpha) // len(reason)
    voxels = alpha.reshape(len(reason), times, len(reason), times).any(axis=(1, 3))
    is_value = np.isfinite(shown.arrays["value"])
    np.testing.assert_array_equal(voxels, is_value | hole)


def test_a_svg_holds_its_words_as_text(scans, tmp_path):
    write_figure(tmp_path / "f.svg", panels(scans))
    words = re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "f.svg").read_text())
    assert {"A", "B", "C", "25 mAh", "250 mAh", "475 mAh", "1 mm", "x in LixC6", "3.84 V"} <= set(words)
    assert "D" not in words


@pytest.mark.parametrize("suffix", [".pdf", ".svg", ".png"])
def test_the_same_maps_give_the_same_bytes(scans, tmp_path, suffix):
    for name in ("one", "two"):
        write_figure(tmp_path / f"{name}{suffix}", panels(scans[:2]))
    assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"two{suffix}").read_bytes()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_several_quantities_have_a_bar_each_and_one_quantity_has_one(scans):
    def bars(*names: str, of: list[ScanFile]) -> list[str]:
        return [axes.get_ylabel() for axes in draw_figure(panels(of, *names), Layout()).axes if axes.get_ylabel()]

    assert bars(of=scans) == ["x in LixC6"]
    assert bars("x_lithium", "wt_lic6", of=scans) == ["x in LixC6", "LiC6 (wt%)"]
    assert bars("x_lithium", "wt_lic6", of=scans[:1]) == ["x in LixC6", "LiC6 (wt%)"]


def test_no_two_panels_overlap(scans):
    figure = draw_figure(panels(scans, "x_lithium", "wt_lic6", "wt_nmc"), Layout(n_columns=2))
    boxes = [axes.get_position() for axes in figure.axes]
    assert len(boxes) == 12
    for k, one in enumerate(boxes):
        assert 0 <= one.x0 < one.x1 <= 1
        assert 0 <= one.y0 < one.y1 <= 1
        assert not any(one.x0 < o.x1 and o.x0 < one.x1 and one.y0 < o.y1 and o.y0 < one.y1 for o in boxes[k + 1 :])


def test_all_panels_show_the_same_square_of_the_sample(scans):
    figure = draw_figure(panels(scans, "x_lithium", "wt_nmc"), Layout())
    limits = {(axes.get_xlim(), axes.get_ylim()) for axes in figure.axes if not axes.get_ylabel()}
    assert len(limits) == 1
    left, right, bottom, top = filled_box([panel.shown for panel in panels(scans)])
    assert right - left == pytest.approx(top - bottom)


def words_of(figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_two_series_stand_in_rows_of_their_own_on_one_scale_and_single_scans_beside_each_other(scans):
    def series(name: str, some: list[ScanFile]) -> list[Panel]:
        return [Panel(shown=scan.maps_named("x_lithium")[0], cell=scan.cell, series=name) for scan in some]

    figure = draw_figure([*series("pristine", scans), *series("aged", scans[:2])], Layout())
    maps = [axes for axes in figure.axes if not axes.get_ylabel()]
    lefts, tops = ([round(getattr(axes.get_position(), side), 6) for axes in maps] for side in ("x0", "y1"))
    assert lefts[:2] == lefts[3:]
    assert len({*tops[:3]}) == len({*tops[3:]}) == 1
    assert tops[0] > tops[3]
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ["x in LixC6"], "one bar for both"
    assert [word for word in words_of(figure) if word in ("pristine", "aged")] == ["pristine", "aged"]

    figure = draw_figure([*series("pristine", scans[:1]), *series("aged", scans[1:2])], Layout())
    first, second = (axes.get_position() for axes in figure.axes[:2])
    assert first.y0 == pytest.approx(second.y0)
    assert first.x1 < second.x0
    assert {"pristine", "aged"} < set(words_of(figure))


def test_two_maps_share_a_panel_in_two_colours_with_a_square_of_all_mixtures(scans):
    first, second = (scans[1].maps_named(name)[0] for name in ("wt_lic6", "wt_lic12"))
    figure = draw_figure([Panel(shown=first, second=second, cell=scans[1].cell)], Layout())
    panel, square = figure.axes
    picture = np.asarray(panel.images[0].get_array())
    times = len(picture) // len(first.arrays["value"])
    wanted = two_colours(first.arrays["value"], second.arrays["value"], limits=((0, 100), (0, 100)))
    np.testing.assert_array_equal(picture[::times, ::times], wanted)
    assert square.get_xlabel() == "LiC6 (wt%)\norange"
    assert square.get_title() == "LiC12 (wt%)\nblue"
    for axes in figure.axes:
        box = axes.get_position()
        assert 0 <= box.x0 < box.x1 <= 1
    moved = Shown(message=second.message.model_copy(update={"x_first_mm": 7.0}), arrays=second.arrays)
    with pytest.raises(OutputError, match="only maps of one grid can share a picture"):
        draw_figure([Panel(shown=first, second=moved, cell=scans[1].cell)], Layout())


def test_a_voltage_that_moved_is_given_with_its_range():
    assert voltage_words(CellState()) == ""
    assert voltage_words(CellState(voltage_v=3.7, voltage_span_v=(3.69, 3.705))) == "3.70 V"
    assert voltage_words(CellState(voltage_v=3.7, voltage_span_v=(3.5, 3.9))) == "3.70 V\n(3.50–3.90)"
    assert capacity_words(-0.3594) == "−359 mAh"


def test_the_cell_is_taken_in_the_middle_of_the_scan_and_what_is_not_read_is_not_given():
    def reading(time_s: float, voltage_v: float | None) -> CellReading:
        return CellReading(time_s=time_s, voltage_v=voltage_v, current_a=None)

    cell = cell_in_the_middle([reading(0, 3.0), reading(5, None), reading(10, 4.0)])
    assert cell == CellState(voltage_v=3.5, voltage_span_v=(3.0, 4.0), charge_ah=None)
    assert cell_in_the_middle([reading(0, 3.0), reading(10, 4.0), reading(90, 5.0)], (0.0, 10.0)).voltage_v == 3.5
    assert cell_in_the_middle([]) == CellState()


def test_letters_go_on_after_z():
    assert [letter(k) for k in (0, 19, 25, 26, 27, 52)] == ["A", "T", "Z", "AA", "AB", "BA"]


def test_the_scale_bar_has_a_round_length():
    assert [round_length(longest) for longest in (0.09, 0.26, 1.0, 1.99, 7.3)] == pytest.approx([0.05, 0.2, 1, 1, 5])


def test_what_cannot_be_drawn_is_one_sentence(scans, tmp_path):
    with pytest.raises(OutputError, match=r"one of \.pdf, \.png, \.svg"):
        write_figure(tmp_path / "f.docx", panels(scans))
    with pytest.raises(OutputError, match="30 columns do not fit into 180 mm"):
        write_figure(tmp_path / "f.png", panels(scans * 10), Layout(n_columns=30))
    with pytest.raises(OutputError, match="--low must be less than --high"):
        write_figure(tmp_path / "f.png", panels(scans), Layout(low=2.0))
    with pytest.raises(OutputError, match="no colour map 'rainbows'"):
        write_figure(tmp_path / "f.png", panels(scans), Layout(colormap="rainbows"))
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="choose a folder that you may write to"):
        write_figure(tmp_path / "file" / "f.png", panels(scans))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", [EVEN, PRINT])
def test_the_even_scales_are_linear_in_lightness_also_to_eyes_without_red_or_green_cones(name):
    table = colour_table(name)[:, :3].astype(float)
    levels = lightness(table)
    np.testing.assert_allclose(levels, np.linspace(levels[0], levels[-1], 256), atol=0.6)
    assert abs(levels[-1] - levels[0]) > 70
    for matrix in (PROTANOPIA, DEUTERANOPIA):
        seen = lightness(np.clip(to_srgb(to_linear(table) @ np.array(matrix).T), 0, 1))
        steps = np.diff(seen) * np.sign(levels[-1] - levels[0])
        assert (steps > 0).all()
        assert abs(seen[-1] - seen[0]) > 60


def test_the_published_scale_is_nearly_black_to_an_eye_without_red_cones():
    # The reason for the other two; were it false they would not be needed.
    reddest = to_linear(colour_table(PUBLISHED)[-1:, :3].astype(float)) @ np.array(PROTANOPIA).T
    assert lightness(np.clip(to_srgb(reddest), 0, 1))[0] < 45


# Machado, Oliveira, Fernandes, IEEE TVCG 15 (2009) 1291, severity 1.0; they act on linear RGB.
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]


def to_linear(rgb: np.ndarray) -> np.ndarray:
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    positive = np.maximum(linear, 0)
    return np.where(positive <= 0.0031308, 12.92 * positive, 1.055 * positive ** (1 / 2.4) - 0.055)


def test_the_scan_files_are_what_the_viewer_reads(scans):
    assert scans[0].names[:2] == ["x_lithium", "wt_cu"]
    np.testing.assert_array_equal(scans[1].maps_named("x_lithium")[0].arrays["value"], lithium(0.5).astype("f4"))
    assert isinstance(scans[0].path, Path)
