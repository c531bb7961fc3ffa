"""Draw the pictures of ``docs/twin.md``: for each scenario a frame, the frame caked, a sinogram, the truth, and the voltage.

Run from the root of a checkout: ``python docs/draw_twin.py [SCENARIO ...]``; the pictures go to ``docs/images``.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from acquisition.cell.source import open_recording
from acquisition.plans.catalogue import programme_of
from acquisition.twin.patterns import PatternSource, Sector, scan_pulses
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.render import MASKED
from acquisition.twin.slice import Slice
from operando.errors import OperandoError
from operando.profile import Profile, profiles_folder, read_profile

mpl.use("Agg")
from matplotlib import pyplot  # The backend first: there may be no screen

FOLDER = Path(__file__).parent / "images"
N_LINES, N_POINTS = 48, 65
SECTORS = [Sector(centre_deg=centre, half_width_deg=7.5) for centre in np.arange(-90, 90, 15.0)]
MARKERS = {"nmc": 3.0, "nmc811": 3.0, "ceo2": np.sqrt(3.0), "lab6": 1.0, "al": np.sqrt(3.0)}
"""Which reflection the sinogram shows: c or a over d of the first of these materials that the sample has."""


def draw(name: str) -> None:
    """Draw one scenario."""
    scenario = read_profile(name)
    profile = _coarse(scenario)
    source, caked = PatternSource(profile), PatternSource(profile, sectors=SECTORS)
    lines = scan_pulses(profile, first_s=time.time())
    with ThreadPoolExecutor(2) as pool:
        measured = np.array(list(pool.map(lambda line: [source.pattern(pulse)[0] for pulse in line], lines)))
    measured[1::2] = measured[1::2, ::-1]
    line = lines[N_LINES // 3]
    sample = source.frames.truth().history.slice_at(line[0].time_s)
    # Beside the middle of what is layered: there the layers' normals stand across the beam, and texture shows. Else where
    # most is scattered: the middle may hold nothing but air.
    brightest = int(np.argmax([source.pattern(pulse)[0].sum() for pulse in line]))
    shown = line[brightest if sample.normal_rad is None else N_POINTS // 2 + N_POINTS // 5]
    figure, axes = pyplot.subplots(1, 5, figsize=(15, 3.2), layout="constrained")
    _frame(axes[0], source.frames.frame(shown, image_id=0))
    _caked(axes[1], caked, caked.pattern(shown))
    _sinogram(axes[2], source.q, measured, sample, _extent(profile))
    _truth(axes[3], sample)
    _voltage(axes[4], scenario)
    figure.suptitle(f"{profile.name}: {profile.description}", fontsize=10)
    figure.savefig(FOLDER / f"twin-{name}.png", dpi=56)
    pyplot.close(figure)


def _coarse(profile: Profile) -> Profile:
    """Give the scenario with fewer points over the same width, and its noise with it."""
    width_mm = profile.scan.step_mm * profile.scan.n_points
    scan = profile.scan.model_copy(update={"n_lines": N_LINES, "n_points": N_POINTS, "step_mm": width_mm / N_POINTS})
    return profile.model_copy(update={"scan": scan})


def _frame(axis: Any, frame: NDArray[np.uint32]) -> None:
    shown = np.where(frame == MASKED, np.nan, frame.astype(float))
    rows, columns = (n // 5 * 5 for n in shown.shape)
    with np.errstate(invalid="ignore"):
        blocks = shown[:rows, :columns].reshape(rows // 5, 5, columns // 5, 5).mean(axis=(1, 3))
    axis.imshow(np.log10(blocks + 0.05), cmap="magma")
    axis.set(title="frame, log counts", xticks=[], yticks=[])


def _caked(axis: Any, source: PatternSource, sectors: NDArray[np.float64]) -> None:
    clipped = np.log10(np.clip(sectors, np.percentile(sectors, 2), None) + 1e-3)
    extent = (source.q[0], source.q[-1], -97.5, 82.5)
    axis.imshow(clipped, origin="lower", aspect="auto", extent=extent, cmap="magma")
    axis.set(title="caked, log", xlabel="q (1/angstrom)", ylabel="eta (deg)")


def _extent(profile: Profile) -> tuple[float, float, float, float]:
    """Give the edges of a sinogram of ascending positions: left and right in mm, bottom and top in degree."""
    scan = profile.scan
    half_mm = 0.5 * scan.n_points * scan.step_mm
    return scan.centre_mm - half_mm, scan.centre_mm + half_mm, scan.angle_range_deg, 0.0


def _sinogram(
    axis: Any,
    q: NDArray[np.float64],
    measured: NDArray[np.float64],
    sample: Slice,
    extent: tuple[float, float, float, float],
) -> None:
    material = next((name for name in MARKERS if name in sample.materials), sample.materials[0])
    crystal = CRYSTALS[material]
    edge = crystal.c_angstrom if crystal.is_hexagonal else crystal.a_angstrom
    marker = 2 * np.pi * MARKERS.get(material, 1.0) / edge
    near, beside = np.abs(q / marker - 1) < 0.02, np.abs(np.abs(q / marker - 1) - 0.05) < 0.01
    above = measured[..., near].mean(axis=-1) - measured[..., beside].mean(axis=-1)
    axis.imshow(above, aspect="auto", cmap="viridis", extent=extent)
    axis.set(title=f"sinogram of {material} at q = {marker:.2f}", xlabel="position (mm)", ylabel="angle (deg)")


def _truth(axis: Any, sample: Slice) -> None:
    unit, scale = ("mm", 1.0) if sample.axis_mm[-1] > 0.1 else ("um", 1e3)
    reach = scale * sample.axis_mm[-1]
    colours = {"fe": (0.55, 0.55, 0.55), "cu": (0.8, 0.45, 0.2), "al": (0.75, 0.8, 0.9), "polymer": (0.9, 0.9, 0.6)}
    colours |= dict.fromkeys(("ceo2", "lab6"), (0.5, 0.35, 0.7))
    picture = np.ones((*sample.density_g_cm3.shape[:2], 3))
    for material, colour in colours.items():
        density = sample.density_of(material)
        if density.max() > 0:
            picture += (density / density.max())[..., np.newaxis] * (np.array(colour) - 1)
    axis.imshow(np.clip(picture, 0, 1), origin="lower", extent=(-reach, reach) * 2)
    shown = None
    if np.isfinite(sample.lithium_x).any():
        shown = axis.imshow(sample.lithium_x, origin="lower", extent=(-reach, reach) * 2, cmap="inferno", vmin=0, vmax=1)
        title = "truth: x in LixC6"
    elif sample.lithium_y is not None:
        shown = axis.imshow(sample.lithium_y, origin="lower", extent=(-reach, reach) * 2, cmap="viridis")
        title = "truth: y in LiyNMC"
    else:
        title = "truth: matter"
    if shown is not None:
        axis.figure.colorbar(shown, ax=axis)
    axis.set(title=title, xlabel=f"x ({unit})", ylabel=f"y ({unit})")


def _voltage(axis: Any, profile: Profile) -> None:
    try:
        recording, _ = open_recording(profile)
    except OperandoError:
        axis.set_axis_off()
        return
    if profile.twin is not None and profile.twin.sample in ("pins", "ceo2", "lab6"):
        axis.set_axis_off()
        return
    axis.plot(recording.time_s / 3600, recording.voltage_v, lw=1)
    start_s, length_s = profile.cell.start_s, programme_of(profile).duration_s * profile.cell.speed
    axis.axvspan(start_s / 3600, (start_s + length_s) / 3600, color="tab:red", alpha=0.3, lw=1)
    named = recording.name.removeprefix("PyBaMM: ")
    axis.set(title=f"{named if len(named) < 20 else 'recorded cell'}; red: scan", xlabel="time (h)", ylabel="voltage (V)")


def simulated() -> list[str]:
    """Give the names of all profiles with a simulated beamline."""
    names = sorted(path.parent.name for path in profiles_folder().glob("*/profile.toml"))
    return [name for name in names if read_profile(name).twin is not None]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for scenario in sys.argv[1:] or simulated():
        draw(scenario)
