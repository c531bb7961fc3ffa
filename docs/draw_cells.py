"""Draw the simulated cells for ``docs/twin-cell.md`` and measure what is said there: ``python docs/draw_cells.py``.

Writes ``docs/images/cell-*.png`` and a table to the standard output; the first time it simulates all cells, a minute or so.
"""

import io
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from acquisition.twin.cell.history import CellHistory
from acquisition.twin.cell.makes import FARADAY_AH_MOL
from acquisition.twin.cell.protocols import HISTORIES
from acquisition.twin.cell.roll import Roll
from acquisition.twin.cell.rolls import ROLLS
from acquisition.twin.cell.shelf import history_of
from acquisition.twin.cell.spread import behind
from acquisition.twin.phases import LITHIUM_X
from acquisition.twin.slice import Slice, grams_per_c6, grams_per_cathode_unit

FOLDER = Path(__file__).parent / "images"
WOUND = {"aaa": "aaa-c2", "18650": "18650-1c", "18650-aged": "18650-1c-aged", "small": "small-2c"}
HOUR_S = 3600.0


def main() -> None:
    """Draw all pictures and write the table."""
    FOLDER.mkdir(exist_ok=True)
    histories = {name: history_of(name) for name in HISTORIES}
    rolls = {name: Roll(ROLLS[name], histories[history], seed=1) for name, history in WOUND.items()}
    save(draw_voltages(histories), "cell-voltage.png")
    save(draw_profiles(histories["small-2c"]), "cell-depth.png")
    save(draw_slices(rolls, histories), "cell-slices.png")
    for line in table(histories, rolls):
        sys.stdout.write(line + "\n")


def draw_voltages(histories: dict[str, CellHistory]) -> plt.Figure:
    """Draw voltage, and the mean lithium of each electrode, of every history against time."""
    shown = [name for name in histories if name != "aaa-pristine"]
    figure, axes = plt.subplots(2, len(shown) // 2, figsize=(12, 5.2), constrained_layout=True)
    for axis, name in zip(axes.flat, shown, strict=True):
        cell = histories[name]
        time_h = cell.time_s / HOUR_S
        axis.plot(time_h, cell.voltage_v, color="black", lw=1.2)
        axis.set(title=name, xlabel="time (h)", ylim=(2.6, 4.5))
        lithium = axis.twinx()
        lithium.plot(time_h, cell.y.mean(axis=1), color="#0072b2", lw=0.9)
        if cell.x.size:
            lithium.plot(time_h, cell.x.mean(axis=1), color="#d55e00", lw=0.9)
        lithium.set(ylim=(0, 1))
    axes[0, 0].set_ylabel("voltage (V, black)")
    axes[1, 0].set_ylabel("voltage (V, black)")
    lithium.set_ylabel("x (orange), y (blue)")
    return figure


def draw_profiles(cell: CellHistory) -> plt.Figure:
    """Draw lithium through the anode's coating at times of a fast charge."""
    figure, axis = plt.subplots(figsize=(5, 3.4), constrained_layout=True)
    depth = (np.arange(cell.x.shape[1]) + 0.5) / cell.x.shape[1]
    charging = np.flatnonzero(np.array(cell.step) == "CCCV_Chg")
    for part, shade in zip((0.1, 0.3, 0.5, 0.7, 1.0), np.linspace(0.2, 0.9, 5), strict=True):
        row = charging[round(part * (len(charging) - 1))]
        axis.plot(
            depth,
            cell.x[row],
            color=plt.cm.inferno(shade),
            label=f"{(cell.time_s[row] - cell.time_s[charging[0]]) / 60:.0f} min",
        )
    axis.axhline(0.5, color="grey", lw=0.6, ls=":")
    axis.set(
        xlabel="depth (0 separator, 1 copper)", ylabel="x in LixC6", ylim=(0, 1), title="anode of the small roll charging at 2C"
    )
    axis.legend(frameon=False)
    return figure


def draw_slices(rolls: dict[str, Roll], histories: dict[str, CellHistory]) -> plt.Figure:
    """Draw x in LixC6 of each roll in the middle of its charge and after it."""
    figure, axes = plt.subplots(2, len(rolls), figsize=(12, 6), constrained_layout=True)
    for column, (name, roll) in enumerate(rolls.items()):
        cell = histories[WOUND[name]]
        charging = np.flatnonzero(np.array(cell.step) == "CCCV_Chg")
        for axis, row in zip(axes[:, column], (charging[len(charging) // 3], charging[-1]), strict=True):
            sample = slice_at(roll, cell, row)
            edge = sample.axis_mm[-1]
            image = axis.imshow(
                sample.lithium_x,
                origin="lower",
                extent=(-edge, edge, -edge, edge),
                vmin=0,
                vmax=1,
                cmap="inferno",
                interpolation="nearest",
            )
            axis.set_title(f"{name}, mean x {cell.x[row].mean():.2f}", fontsize=9)
            axis.tick_params(labelsize=7)
    figure.colorbar(image, ax=axes, shrink=0.6, label="x in LixC6")
    return figure


def slice_at(roll: Roll, cell: CellHistory, row: int) -> Slice:
    """Give a roll's slice at a row of its history."""
    gaps = [float(behind(cell.time_s, column.mean(axis=1))[row]) for column in (cell.x, cell.y)]
    return roll.slice_of("cell", cell.x[row], cell.y[row], x_behind=gaps[0], y_behind=gaps[1])


def table(histories: dict[str, CellHistory], rolls: dict[str, Roll]) -> list[str]:
    """Measure conservation: of PyBaMM's cells, and of the slices."""
    lines = ["| history | hours | charge through (Ah) | anode - coulombs | cathode + coulombs |", "|---|---|---|---|---|"]
    for name, cell in histories.items():
        inside = cell.charge_ah - cell.leaked_ah
        scale = np.ptp(inside)
        if scale == 0:
            continue
        anode = (
            np.abs((cell.x.mean(axis=1) - cell.x[0].mean()) * cell.anode_ah - inside).max() / scale if cell.x.size else np.nan
        )
        cathode = np.abs((cell.y.mean(axis=1) - cell.y[0].mean()) * cell.cathode_ah + inside).max() / scale
        lines.append(f"| {name} | {cell.duration_s / HOUR_S:.2f} | {scale:.4g} | {anode:.0e} | {cathode:.0e} |")
    lines += ["", "| slice | height (mm) | anode - coulombs | cathode + coulombs |", "|---|---|---|---|"]
    for name, roll in rolls.items():
        cell = histories[WOUND[name]]
        rows = np.linspace(0, len(cell.time_s) - 1, 9).astype(int)
        held = np.array([contents_ah(slice_at(roll, cell, row), roll) for row in rows])
        inside = (cell.charge_ah - cell.leaked_ah)[rows]
        scale = np.ptp(inside)
        errors = [np.abs(held[:, i] - held[0, i] - sign * (inside - inside[0])).max() / scale for i, sign in ((0, 1), (1, -1))]
        lines.append(f"| {name} | {roll.height_mm:.1f} | {errors[0]:.0e} | {errors[1]:.0e} |")
    return lines


def contents_ah(sample: Slice, roll: Roll) -> tuple[float, float]:
    """Give the lithium of both electrodes in slice times height, Ah."""
    per_mole = sample.voxel_mm**2 * roll.height_mm * 1e-3 * FARADAY_AH_MOL
    anode = sum(sample.density_of(name).sum(dtype=np.float64) / grams_per_c6(name) * x for name, x in LITHIUM_X.items())
    cathode = np.nansum(sample.density_of("nmc") / grams_per_cathode_unit("nmc") * sample.lithium_y, dtype=np.float64)
    return anode * per_mole, float(cathode) * per_mole


def save(figure: plt.Figure, name: str) -> None:
    """Write a picture, small enough for a repository."""
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=75)
    # A palette, since what is drawn has few colours: a quarter of the size.
    Image.open(drawn).convert("RGB").quantize(96).save(FOLDER / name, optimize=True)
    plt.close(figure)


if __name__ == "__main__":
    main()
