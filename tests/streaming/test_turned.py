"""A tomogram flown by turns is the tomogram flown by lines: the same points, in another order."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from operando.cli.process import compare_maps
from operando.errors import DataError
from operando.scan import LineKey
from streaming.line import Line
from streaming.line_file import write_line
from streaming.line_shelf import LineShelf
from streaming.process import process
from streaming.recorded import find_recorded
from streaming.tomogram import Result, Tomogram
from streaming.turned import TurnedTomogram, is_flown_by_turns
from tests.streaming.analysing import Beamtime
from tests.streaming.phantom import Phantom, a_run, demo_profile

RUN = a_run(n_lines=12)
TURNED = RUN.model_copy(update={"metadata": {"sweep": "rotation"}})


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return Phantom(demo_profile())


@pytest.fixture(scope="module")
def lines(phantom: Phantom) -> list[Line]:
    return [phantom.line(number, run=RUN) for number in range(len(RUN.angles_deg))]


def turns_of(lines: list[Line], *, order: list[int], missing: tuple[int, ...] = (), current_ma: float = 100.0) -> list[Line]:
    """Fly the same points by turns, to and fro, at positions in the order given."""
    angles = np.array(RUN.angles_deg)
    turns = []
    for index, place in enumerate(order):
        sense = slice(None) if index % 2 == 0 else slice(None, None, -1)
        rows = [(line, int(np.argsort(line.positions_mm)[place])) for line in lines][sense]
        received = ~np.isin(np.arange(angles.size)[sense], missing)
        factor = (current_ma / 100.0) * np.where(received, 1.0, np.nan)[:, np.newaxis]
        patterns = np.array([line.mean[row] for line, row in rows]) * factor
        turns.append(
            replace(
                lines[0],
                key=LineKey(run=RUN.run, line=index, attempt=0),
                angle_deg=float(angles[sense][0]),
                angles_deg=angles[sense] + 0.01,
                positions_mm=np.array([line.positions_mm[row] for line, row in rows]),
                is_received=received,
                mean=patterns.astype(np.float32),
                trimmed=patterns.astype(np.float32),
                variance=np.array([line.variance[row] for line, row in rows]) * factor.astype(np.float32) ** 2,
                ring_current_ma=current_ma,
            )
        )
    return turns


def straight(phantom: Phantom, lines: list[Line]) -> Result:
    shelf = {line.key: line for line in lines}
    tomogram = Tomogram(profile=phantom.profile, model=phantom.model, run=RUN, read_again=shelf.__getitem__)
    for line in lines:
        tomogram.add(line)
    found = tomogram.result()
    assert found is not None
    return found


class ByTurns:
    """Takes up turns as the analysis does: each has its file first."""

    def __init__(self, phantom: Phantom, folder: Path) -> None:
        self.folder, shelf = folder, LineShelf(RUN.run, folder)
        self.tomogram = TurnedTomogram(
            profile=phantom.profile, model=phantom.model, run=TURNED, shelf=shelf, lines_folder=folder
        )

    def add(self, turn: Line) -> None:
        write_line(turn, self.folder)
        self.tomogram.add(turn)


def masses(result: Result) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return next(one for one in result.maps if one.name == "amount_nmc" or "nmc" in one.name).value


def test_turns_give_the_maps_of_lines_in_whatever_order_their_positions_fly(
    phantom: Phantom, lines: list[Line], tmp_path: Path
) -> None:
    order = [*range(0, RUN.n_points, 2), *range(1, RUN.n_points, 2)]
    by_turns = ByTurns(phantom, tmp_path)
    for turn in turns_of(lines, order=order):
        by_turns.add(turn)
    found, wanted = by_turns.tomogram.result(), straight(phantom, lines)
    assert found is not None
    assert found.ingredients.run == RUN.run
    np.testing.assert_allclose(masses(found), masses(wanted), rtol=1e-4, atol=1e-4 * np.nanmax(masses(wanted)))
    assert found.is_measured.all()


def test_a_first_map_comes_when_half_of_interlaced_turns_are_in(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    by_turns, order = ByTurns(phantom, tmp_path), [*range(0, RUN.n_points, 2), *range(1, RUN.n_points, 2)]
    turns = turns_of(lines, order=order)
    n_half = -(-RUN.n_points // 2)
    for turn in turns[: n_half - 1]:
        by_turns.add(turn)
    assert by_turns.tomogram.result() is None
    by_turns.add(turns[n_half - 1])
    found = by_turns.tomogram.result()
    assert found is not None
    assert 0.4 < found.is_measured.mean() < 0.6


def test_missing_image_of_a_turn_costs_its_own_pixel(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    by_turns = ByTurns(phantom, tmp_path)
    order = list(range(RUN.n_points))
    turns = turns_of(lines, order=order)
    turns[5] = turns_of(lines, order=order, missing=(3,))[5]
    for turn in turns:
        by_turns.add(turn)
    found = by_turns.tomogram.result()
    assert found is not None
    assert np.argwhere(~found.is_measured).tolist() == [[3, 5]]


def test_beam_that_changes_between_turns_is_divided_out(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    by_turns, order = ByTurns(phantom, tmp_path), list(range(RUN.n_points))
    full, weak = turns_of(lines, order=order), turns_of(lines, order=order, current_ma=80.0)
    for index in order:
        by_turns.add((full if index % 3 else weak)[index])
    found, wanted = by_turns.tomogram.result(), straight(phantom, lines)
    assert found is not None
    # Up to one constant: the current of the first line is the reference.
    inside = masses(wanted) > 0.3 * np.nanmax(masses(wanted))
    ratio = masses(found)[inside] / masses(wanted)[inside]
    assert np.nanstd(ratio) < 1e-3 * np.nanmean(ratio)


def test_aborted_turn_counts_for_nothing_until_it_flies_again(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    by_turns, order = ByTurns(phantom, tmp_path), list(range(RUN.n_points))
    turns = turns_of(lines, order=order)
    by_turns.tomogram.abort(line=7, attempt=0)
    for turn in turns:
        by_turns.add(turn)
    found = by_turns.tomogram.result()
    assert found is not None
    assert not found.is_measured[:, 7].any()
    by_turns.add(replace(turns[7], key=LineKey(run=RUN.run, line=7, attempt=1)))
    again = by_turns.tomogram.result()
    assert again is not None
    assert again.is_measured.all()


def test_processing_turns_again_gives_the_same_maps(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    beamtime = Beamtime(phantom, tmp_path / "run")
    beamtime.fly(TURNED, turns_of(lines, order=list(range(RUN.n_points))))
    beamtime.journal.close()
    recorded = find_recorded(beamtime.out)
    done = process(recorded, recorded.profile, tmp_path / "again")
    rows = compare_maps(beamtime.out / "scan.nxs", done.archive)
    assert len(rows) > 3
    assert all(row["is_same"] for row in rows.values()), rows


def test_line_without_angles_is_no_turn(phantom: Phantom, lines: list[Line], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no turn of the stage"):
        ByTurns(phantom, tmp_path).add(lines[0])
    assert is_flown_by_turns(TURNED)
    assert not is_flown_by_turns(RUN)
