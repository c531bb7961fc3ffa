"""A picture of a calibration: the frame with its rings, and how far every ring lies from its place against the azimuth."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streaming.calibrate.result import CalibrationResult
from streaming.calibrate.rings import SECTORS

_BINNING = 2
_MOST_RINGS = 12
"""Curves against azimuth; more cannot be told apart."""


def write_picture(path: Path, result: CalibrationResult, image: NDArray[Any], mask: NDArray[np.bool_]) -> None:
    """Draw a calibration into a PNG, PDF or SVG.

    Parameters
    ----------
    path
        The file.
    result
        The calibration.
    image
        The frame, shape (n_rows, n_columns).
    mask
        Pixels that were not used, same shape.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.0, 6.4), layout="constrained")
    panels = figure.subplot_mosaic([["frame", "rings"], ["frame", "azimuth"]], width_ratios=[1.0, 1.2])
    _draw_frame(panels["frame"], result, image, mask)
    _draw_rings(panels["rings"], result)
    _draw_azimuth(panels["azimuth"], result)
    figure.suptitle(
        f"{result.calibrant}, {result.energy_kev:.3f} keV {'held' if result.is_energy_held else 'refined'}: distance "
        f"{1e3 * result.geometry.dist:.3f} mm, predicted rings within {result.predicted_px:.3f} px RMS"
    )
    figure.savefig(path, dpi=110)


def _draw_frame(axes: Any, result: CalibrationResult, image: NDArray[Any], mask: NDArray[np.bool_]) -> None:
    counts = np.where(mask, np.nan, image.astype(np.float64))
    n_rows, n_columns = (edge // _BINNING * _BINNING for edge in counts.shape)
    blocks = counts[:n_rows, :n_columns].reshape(n_rows // _BINNING, _BINNING, n_columns // _BINNING, _BINNING)
    known = np.isfinite(blocks)
    mean = np.where(known, blocks, 0.0).sum(axis=(1, 3)) / np.where(known.any(axis=(1, 3)), known.sum(axis=(1, 3)), np.nan)
    shown = np.sqrt(np.maximum(mean, 0.0))
    low, high = np.nanpercentile(shown, [1.0, 99.5])
    axes.imshow(shown, cmap="gray", vmin=low, vmax=high, extent=(-0.5, n_columns - 0.5, n_rows - 0.5, -0.5))
    angle = np.asarray(result.geometry.center_array(image.shape, unit="2th_rad", scale=False))[::4, ::4]
    rows, columns = np.arange(image.shape[0])[::4], np.arange(image.shape[1])[::4]
    inside = result.two_theta[(result.two_theta > angle.min()) & (result.two_theta < angle.max())]
    axes.contour(columns, rows, angle, levels=np.sort(inside), colors="tab:orange", linewidths=0.5)
    axes.plot(result.points.column, result.points.row, ".", color="tab:cyan", markersize=1.5)
    axes.set(title="frame (root of counts), rings predicted, points found", xlabel="column (px)", ylabel="row (px)")


def _draw_rings(axes: Any, result: CalibrationResult) -> None:
    colours = {"fitted": "tab:blue", "predicted": "tab:red", "partial": "tab:gray"}
    for role, colour in colours.items():
        rings = [ring for ring in result.rings if ring.role == role]
        if rings:
            error = [ring.scatter_px / np.sqrt(max(ring.n_found, 1)) for ring in rings]
            angles, means = [ring.two_theta_deg for ring in rings], [ring.mean_px for ring in rings]
            axes.errorbar(angles, means, error, fmt="o", color=colour, label=role, capsize=2)
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.set(xlabel="two theta (deg)", ylabel="mean residual (px)", title="every ring; positive is outside")
    axes.legend(ncols=3, fontsize="small")


def _draw_azimuth(axes: Any, result: CalibrationResult) -> None:
    from matplotlib import colormaps

    numbers = np.unique(result.points.ring)
    chosen = numbers[np.linspace(0, numbers.size - 1, min(numbers.size, _MOST_RINGS)).round().astype(int)]
    eta_deg = (result.points.sector + 0.5) * 360.0 / SECTORS - 180.0
    for k, ring in enumerate(chosen):
        here = result.points.ring == ring
        colour = colormaps["viridis"](k / max(chosen.size - 1, 1))
        label = f"{np.rad2deg(result.two_theta[ring]):.2f} deg"
        axes.plot(eta_deg[here], result.residuals_px[here], ".", color=colour, label=label, markersize=4)
    axes.axhline(0.0, color="black", linewidth=0.8)
    reach = max(0.5, 1.2 * float(np.percentile(np.abs(result.residuals_px), 99)))
    title = "every sector: waves are a tilt or a wrong centre, steps are shifted modules"
    axes.set(xlabel="azimuth from columns towards rows (deg)", ylabel="residual (px)", ylim=(-1.6 * reach, reach), title=title)
    axes.legend(ncols=4, fontsize="x-small", loc="lower center")
