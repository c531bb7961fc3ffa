"""Patterns without images, for studies that are larger than a detector could stream: integrated means with counting statistics.

A pattern is what an exact integration of the frame would give: for each bin of q (and sector of azimuth) the photons of its
pixels over the sum of their corrections. Its noise is that of the photons in the bin. Blemishes of single pixels are left out.
The layout of the file is described in ``docs/twin.md``.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from acquisition.twin.blemishes import generator
from acquisition.twin.cable import Pulse
from acquisition.twin.camera import read_camera, view_pixels
from acquisition.twin.noise import RUNG
from acquisition.twin.optics import twin_of
from acquisition.twin.render import Canvas
from acquisition.twin.sample import SampleFrames
from acquisition.twin.truth import FlownLine, write_truth
from operando.profile import Profile

LAYOUT = 1
_PATTERN_STREAM = 1 << 23

Patterns = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sector:
    """A range of azimuth, both ways from a centre and from the opposite of it."""

    centre_deg: float = 0.0
    """From the direction of the fast axis."""
    half_width_deg: float = 90.0


FULL_RING = Sector()


class PatternSource:
    """Makes patterns of a profile's sample; one object serves any number of threads.

    The replay of a cell that works begins at ``begun_s``, Unix epoch, or now. ``calibrated`` is the PONI file that patterns are
    integrated with: what a calibration found, where it is not where the detector really is.
    """

    def __init__(
        self,
        profile: Profile,
        *,
        sectors: Sequence[Sector] = (FULL_RING,),
        begun_s: float | None = None,
        calibrated: Path | None = None,
    ) -> None:
        self._frames = SampleFrames(profile, begun_s=begun_s)
        grid = profile.integration
        edges = np.linspace(grid.q_min, grid.q_max, grid.n_radial + 1)
        self.q = 0.5 * (edges[:-1] + edges[1:])
        self._shape = (len(sectors), grid.n_radial)
        q = _q_of_pixels(profile, calibrated)
        binning, self.weight = _binning(self._frames.canvas, edges, sectors, q=q)
        # A pattern needs no azimuths, only what each component of the scene makes of each bin.
        nodes = sparse.eye_array(self._frames.canvas.grid.two_theta_rad.size, format="csr")
        self._binning = sparse.csr_array(binning @ sparse.kron(self._frames.basis, nodes, format="csr"))
        twin = twin_of(profile)
        self._seed, self._is_noisy = twin.seed, twin.effects.noise

    def pattern(self, pulse: Pulse) -> Patterns:
        """Give mean photons a pixel after correction, shape (sector, radial); 0 where a bin has no pixel."""
        photons = self._binning @ self._frames.components(pulse).ravel()
        if self._is_noisy:
            random = generator(seed=self._seed, exposure=pulse.number, purpose=_PATTERN_STREAM)
            photons = random.poisson(photons).astype(np.float64)
        flat = self.weight.ravel()
        return np.divide(photons, flat, out=np.zeros_like(flat), where=flat > 0).reshape(self._shape)

    @property
    def frames(self) -> SampleFrames:
        """The frames that the patterns would come from."""
        return self._frames


def scan_pulses(profile: Profile, *, first_s: float = 0.0) -> list[list[Pulse]]:
    """Give the pulses of the profile's tomogram in ascending angles, zig-zag, shape (line, point in flying order)."""
    scan = profile.scan
    period_s = scan.exposure_s + profile.detector.readout_s
    positions = scan.centre_mm + (np.arange(scan.n_points) - (scan.n_points - 1) / 2) * scan.step_mm
    speed = scan.step_mm / period_s
    return [
        [
            Pulse(
                number=line * scan.n_points + index,
                time_s=first_s + (line * scan.n_points + index + 0.5) * period_s,
                exposure_s=scan.exposure_s,
                fast_mm=float(positions[index if line % 2 == 0 else -1 - index]),
                fast_mm_s=speed if line % 2 == 0 else -speed,
                angle_deg=line * scan.angle_range_deg / scan.n_lines,
                beam=1.0,
            )
            for index in range(scan.n_points)
        ]
        for line in range(scan.n_lines)
    ]


def write_patterns(
    profile: Profile,
    path: Path,
    *,
    sectors: Sequence[Sector] = (FULL_RING,),
    n_threads: int = 2,
    first_s: float = 0.0,
    calibrated: Path | None = None,
) -> Path:
    """Write the sinogram of patterns of a whole tomogram, positions ascending; give the file of its truth beside it."""
    source = PatternSource(profile, sectors=sectors, begun_s=first_s, calibrated=calibrated)
    lines = scan_pulses(profile, first_s=first_s)
    unfinished = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(unfinished, "w") as file, ThreadPoolExecutor(n_threads) as pool:
        _write_axes(file, profile, source, lines, sectors)
        shape = (len(lines), len(lines[0]), *source.weight.shape)
        data = file.create_dataset("mean", shape, dtype=np.float32, chunks=(1, *shape[1:]), compression="gzip", shuffle=True)
        data.attrs.update(axes=["line", "point", "sector", "q"], units="photons per pixel")
        for line, measured in enumerate(pool.map(lambda pulses: [source.pattern(one) for one in pulses], lines)):
            data[line] = np.stack(measured if line % 2 == 0 else measured[::-1])
    unfinished.replace(path)
    flown = [
        FlownLine(angle_deg=line[0].angle_deg, start_s=line[0].time_s, end_s=line[-1].time_s, n_pulses=len(line))
        for line in lines
    ]
    truth = path.with_name(f"{path.stem}-truth.h5")
    write_truth(source.frames.truth(flown), truth)
    return truth


def _write_axes(
    file: h5py.File, profile: Profile, source: PatternSource, lines: list[list[Pulse]], sectors: Sequence[Sector]
) -> None:
    first = [pulses if line % 2 == 0 else pulses[::-1] for line, pulses in enumerate(lines)]
    file.attrs.update(layout=LAYOUT, profile=profile.name)
    file["q"] = source.q
    file["weight"] = source.weight
    file["angle_deg"] = np.array([pulses[0].angle_deg for pulses in lines])
    file["position_mm"] = np.array([one.fast_mm for one in first[0]])
    file["time_s"] = np.array([[one.time_s for one in pulses] for pulses in first])
    file["sector_deg"] = np.array([(sector.centre_deg, sector.half_width_deg) for sector in sectors])


def _q_of_pixels(profile: Profile, calibrated: Path | None) -> NDArray[np.float64]:
    """Give the q of every pixel's centre that a geometry says, the profile's or another one, flat, 1/angstrom."""
    detector = profile.detector
    camera = read_camera(
        calibrated or profile.path(profile.geometry.poni),
        pixel_m=detector.pixel_m,
        n_rows=detector.n_rows,
        n_columns=detector.n_columns,
        named_by="--calibrated" if calibrated else "geometry.poni in the profile",
    )
    two_theta = view_pixels(camera).two_theta_rad.ravel()
    return np.asarray(4 * np.pi / camera.wavelength_angstrom * np.sin(0.5 * two_theta))


def _binning(
    canvas: Canvas, edges: NDArray[np.float64], sectors: Sequence[Sector], *, q: NDArray[np.float64]
) -> tuple[sparse.csr_array, NDArray[np.float64]]:
    """Give the matrix from grid to photons, shape (sector * radial, azimuth * node), and each bin's sum of corrections."""
    weight = (canvas.root_weight.astype(np.float64) * RUNG) ** 2
    n_radial, n_nodes = edges.size - 1, canvas.grid.two_theta_rad.size * canvas.grid.azimuths_rad.size
    radial = np.floor((q - edges[0]) / (edges[1] - edges[0])).astype(np.int64)
    matrices, weights = [], []
    for sector in sectors:
        # Counted both ways from the centre and from its opposite, as Friedel mates are.
        away_deg = np.abs((np.degrees(canvas.azimuth_rad) - sector.centre_deg + 90) % 180 - 90)
        used = np.flatnonzero((weight > 0) & (radial >= 0) & (radial < n_radial) & (away_deg <= sector.half_width_deg))
        columns, shares = _corners(canvas, used)
        rows = np.broadcast_to(radial[used], columns.shape)
        entries = (shares * weight[used]).ravel()
        matrices.append(sparse.csr_array((entries, (rows.ravel(), columns.ravel())), shape=(n_radial, n_nodes)))
        weights.append(np.bincount(radial[used], weights=weight[used], minlength=n_radial))
    return sparse.csr_array(sparse.vstack(matrices)), np.array(weights)


def _corners(canvas: Canvas, used: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give the grid's nodes around pixels and their shares, shape (corner, pixel) both."""
    n_nodes = canvas.grid.two_theta_rad.size
    place = canvas.place[used].astype(np.float64)
    if canvas.grid.azimuths_rad.size == 1:
        node = place.astype(np.int64)
        return np.stack([node, node + 1]), np.stack([1 - (place - node), place - node])
    corner = canvas.corner[used].astype(np.int64)
    along, across = canvas.along[used].astype(np.float64), canvas.across[used].astype(np.float64)
    shares = [(1 - across) * (1 - along), (1 - across) * along, across * (1 - along), across * along]
    return np.stack([corner, corner + 1, corner + n_nodes, corner + n_nodes + 1]), np.stack(shares)
