"""Simulated scans at the stated conditions, from the standard to the maps: patterns of the twin, analysed as live ones are.

A study calibrates with a simulated frame of CeO2 that stands where the rotation axis does not, at an energy that is not the
true one; writes the patterns of a cell as that calibration bins them (:mod:`acquisition.twin.patterns`); hands them to tomogram
and refinery line by line; and compares with the truth file. Patterns are kept in a folder, so that another analysis of the
same scan costs no second simulation.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from acquisition.twin.cable import Pulse
from acquisition.twin.optics import twin_of
from acquisition.twin.patterns import PatternSource, Sector, scan_pulses, write_patterns
from acquisition.twin.sample import SampleFrames, pixel_mask
from acquisition.twin.score import AnalysedMap
from acquisition.twin.truth import read_slice
from operando.cli.against_truth import scores
from operando.messages import RunStarted
from operando.profile import Profile, read_profile
from operando.profile.settings import with_settings
from operando.scan import LineKey
from streaming.calibrate import calibrate
from streaming.channels import make_pattern_model
from streaming.integrate.geometry import load_poni
from streaming.line import Line
from streaming.maps import Map
from streaming.refine.job import RefinedTomogram, Refinery
from streaming.refine.to_refine import job_from_result
from streaming.region import patterns_from_line
from streaming.tomogram import Result, Tomogram

Array = NDArray[np.float64]

CELLS = ("aaa-pristine", "aaa-charged-c2", "aaa-charged-c20", "aaa-discharged-c2", "aaa-discharged-c20")
PEAK_COUNTS = 1000.0
"""Photons of NMC 003 in the highest bin of the sinogram, full ring, beside what lies under the peak."""
ENERGY_ERROR = 3e-4
STANDARD_COUNTS = 50.0
"""Mean counts a pixel of the standard's frame: the sum of a few minutes."""
_PEAK_Q, _BESIDE_Q = (1.28, 1.35), ((1.23, 1.26), (1.37, 1.40))
SECTORS = {
    "ring": Sector(),
    "axis-15": Sector(centre_deg=90.0, half_width_deg=15.0),
    "axis-30": Sector(centre_deg=90.0, half_width_deg=30.0),
}
"""The full ring and windows about the projected rotation axis; each has counting noise of its own."""


def conditions(
    cell: str, *, n_lines: int = 400, n_points: int = 137, step_mm: float = 0.08, settings: Sequence[str] = ()
) -> Profile:
    """Give a shipped cell under the stated conditions: 10.17 mm, 1 m, 103.5 keV, lines of 80 um over half a turn."""
    return with_settings(
        read_profile(cell),
        [
            f"scan.n_lines={n_lines}",
            f"scan.n_points={n_points}",
            f"scan.step_mm={step_mm}",
            f"twin.effects.energy_error={ENERGY_ERROR}",
            "twin.effects.axis_downstream_mm=0.1",
            *settings,
        ],
    )


def calibrated_geometry(profile: Profile, folder: Path) -> Path:
    """Calibrate with a simulated frame of CeO2, energy held at the nominal one, and give the PONI file."""
    path = folder / "calibrated.poni"
    if not path.is_file():
        settings = [
            f"twin.effects.energy_error={ENERGY_ERROR}",
            f"twin.counts_per_pixel={STANDARD_COUNTS}",
            f"geometry.poni={profile.path(profile.geometry.poni)}",
        ]
        standard = with_settings(read_profile("ceo2"), settings)
        pulse = Pulse(
            number=1, time_s=0.0, exposure_s=standard.scan.exposure_s, fast_mm=0.0, fast_mm_s=0.0, angle_deg=0.0, beam=1.0
        )
        frame = SampleFrames(standard, begun_s=0.0).frame(pulse, 0)
        start = load_poni(standard.path(standard.geometry.poni))
        calibrate(frame, start, mask=pixel_mask(standard) != 0).write_poni(path)
    return path


def level_of(profile: Profile, calibrated: Path) -> float:
    """Give the ``counts_per_pixel`` for which NMC 003 has its stated photons at the top of the sinogram."""
    quiet = with_settings(profile, ["twin.effects.noise=false"])
    source = PatternSource(quiet, begun_s=0.0, calibrated=calibrated)
    lines = scan_pulses(quiet)
    some = [line[k] for line in lines[:: max(1, len(lines) // 4)] for k in np.linspace(0, len(line) - 1, 13).astype(int)]
    photons = np.array([source.pattern(pulse)[0] for pulse in some]) * source.weight[0]
    beside = np.any([(source.q > low) & (source.q < high) for low, high in _BESIDE_Q], axis=0)
    peak = (source.q > _PEAK_Q[0]) & (source.q < _PEAK_Q[1])
    highest = float((photons[:, peak].max(axis=1) - photons[:, beside].mean(axis=1)).max())
    return twin_of(profile).counts_per_pixel * PEAK_COUNTS / highest


def make_patterns(profile: Profile, folder: Path, *, n_threads: int = 1) -> Path:
    """Write the patterns of a scan, its truth and its calibration into a folder, unless they are there; give the file."""
    path = folder / "patterns.h5"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        calibrated = calibrated_geometry(profile, folder)
        level = level_of(profile, calibrated)
        profile = with_settings(profile, [f"twin.counts_per_pixel={level}"])
        write_patterns(profile, path, sectors=list(SECTORS.values()), n_threads=n_threads, calibrated=calibrated)
    return path


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recording:
    """The lines of a scan in memory, seen through one window of azimuth."""

    run: RunStarted
    lines: dict[LineKey, Line]

    def __call__(self, key: LineKey) -> Line:
        """Give a line again."""
        return self.lines[key]


def read_recording(path: Path, *, sector: str, every: int = 1) -> Recording:
    """Read the patterns of a sector as lines; ``every`` keeps one angle in so many."""
    with h5py.File(path) as file:
        place = list(SECTORS).index(sector)
        means = file["mean"][::every, :, place]
        weight, q = file["weight"][place], file["q"][()]
        angles, positions = file["angle_deg"][::every], file["position_mm"][()]
        times = file["time_s"][::every]
    run = RunStarted(
        run="study",
        time_s=float(times.min()),
        profile="study",
        plan="tomogram",
        angles_deg=angles.tolist(),
        first_position_mm=float(positions[0]),
        step_mm=float(positions[1] - positions[0]),
        n_points=positions.size,
        exposure_s=1.0,
        period_s=1.0,
        speed_mm_s=1.0,
    )
    lines = [
        _line(number, mean, weight, q=q, angle_deg=angle, positions_mm=positions, times_s=time)
        for number, (mean, angle, time) in enumerate(zip(means, angles, times, strict=True))
    ]
    return Recording(run=run, lines={line.key: line for line in lines})


def _line(number: int, mean: Any, weight: Array, *, q: Array, angle_deg: float, positions_mm: Array, times_s: Array) -> Line:
    has_pixels = weight > 0
    norm = np.where(has_pixels, weight, 1.0)
    mean = np.where(has_pixels, mean, np.nan).astype(np.float32)
    variance = np.where(has_pixels, np.maximum(mean * norm, 1.0) / norm**2, np.nan).astype(np.float32)
    direction = 1 if times_s[0] <= times_s[-1] else -1
    flown = slice(None, None, direction)
    return Line(
        key=LineKey(run="study", line=number, attempt=0),
        series=number,
        first_image_id=0,
        angle_deg=float(angle_deg),
        direction=direction,
        positions_mm=positions_mm[flown],
        positions_source="captured",
        is_received=np.ones(positions_mm.size, np.bool_),
        q=q,
        mean=mean[flown],
        trimmed=mean[flown],
        variance=variance[flown],
        ring_current_ma=None,
        cell=None,
        start_s=float(times_s.min()),
        end_s=float(times_s.max()),
        geometry_sha256="",
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Analysed:
    """What the analysis made of a recording."""

    profile: Profile
    result: Result
    refined: RefinedTomogram

    def maps(self) -> dict[str, AnalysedMap]:
        """Give all maps as the twin's comparison takes them; shares as parts of 1."""
        return {one.name: _analysed(one, self.result.axis_mm) for one in [*self.result.maps, *self.refined.maps]}


def analyse(
    profile: Profile,
    recording: Recording,
    *,
    refinery: Callable[[Profile], Refinery] = Refinery,
    live: Profile | None = None,
    n_threads: int = 1,
) -> Analysed:
    """Take the lines up and refine every voxel, as at the end of a run; ``live`` is what the live amounts know beside."""
    # The window was taken when the lines were read; what is left of it in the profile tells the texture.
    plain = with_settings(profile, ["integration.sector="])
    model = make_pattern_model(live or profile)
    tomogram = Tomogram(profile=plain, model=model, run=recording.run, read_again=recording, n_threads=n_threads)
    for line in recording.lines.values():
        tomogram.add(line)
    result = tomogram.result()
    if result is None:
        raise ValueError("no line of the recording could be taken up")
    patterns = {key: patterns_from_line(line, estimator="mean") for key, line in recording.lines.items()}
    refined = refinery(profile)(job_from_result(result, is_last=True), patterns_of=patterns.__getitem__)
    return Analysed(profile=profile, result=result, refined=refined)


def _analysed(one: Map, axis_mm: Array) -> AnalysedMap:
    scale = 0.01 if one.name.removeprefix("refined_").startswith("wt_") else 1.0
    return AnalysedMap(
        value=scale * one.value.astype(np.float64),
        sigma=scale * one.sigma.astype(np.float64),
        reason=one.reason,
        pixel_mm=float(axis_mm[1] - axis_mm[0]),
        x_first_mm=float(axis_mm[0]),
        y_first_mm=float(axis_mm[0]),
    )


def analysis_profile(profile: Profile, folder: Path, *, settings: Sequence[str] = ()) -> Profile:
    """Give the profile that patterns of a folder are analysed with: it knows the calibration, never the twin's geometry."""
    return with_settings(profile, [f"geometry.poni={(folder / 'calibrated.poni').resolve()}", *settings])


def scores_of(analysed: Analysed, folder: Path) -> dict[str, dict[str, Any]]:
    """Compare maps with the truth beside the patterns."""
    truth = folder / "patterns-truth.h5"
    return scores(analysed.maps(), read_slice(truth), truth, 0)


def kept_folder() -> Path:
    """Give where patterns of studies are kept: ``OPERANDO_STUDIES``, else ``runs/studies``."""
    return Path(os.environ.get("OPERANDO_STUDIES", "runs/studies"))


def write_json(path: Path, values: Any) -> None:
    """Write figures as JSON, atomically."""
    partial = path.with_suffix(".part")
    partial.write_text(json.dumps(values, indent=1, default=float) + "\n", encoding="utf-8")
    partial.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the patterns of cells that are not there yet, or analyse and score one: ``python -m benchmarks.study --help``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("cell", nargs="*", default=list(CELLS))
    parser.add_argument("--make", action="store_true", help="only make patterns")
    parser.add_argument("--lines", type=int, default=400, help="angles over half a turn")
    parser.add_argument("--every", type=int, default=1, help="analyse one angle in so many")
    parser.add_argument("--sector", choices=list(SECTORS), default="ring")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args(arguments)
    for cell in asked.cell:
        profile, folder = conditions(cell, n_lines=asked.lines), kept_folder() / cell
        path = make_patterns(profile, folder)
        if asked.make:
            continue
        recording = read_recording(path, sector=asked.sector, every=asked.every)
        window = [] if asked.sector == "ring" else [f"integration.sector=[0,{SECTORS[asked.sector].half_width_deg}]"]
        analysed = analyse(analysis_profile(profile, folder, settings=[*window, *asked.set]), recording)
        rows = scores_of(analysed, folder)
        print(json.dumps(rows, indent=1, default=float))
        if asked.json:
            write_json(asked.json, rows)


if __name__ == "__main__":
    main()
