"""The mean of a frame before counting: what one exposure of a sample sends to every place of the detector.

Two scenes: :class:`FlatScene`, where the sample is thin and every powder random, and :class:`DeepScene`, where it matters where
along the beam something is and how its crystals lie. Both give a polar grid of azimuths and radial nodes, per unit of beam.
"""

import functools
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from acquisition.twin.attenuation import attenuation_map
from acquisition.twin.curves import make_curves
from acquisition.twin.deep import Layers, Voxels, channel_masses, make_voxels, mean_transmission, path_integral
from acquisition.twin.footprint import Beam
from acquisition.twin.grid import PolarGrid
from acquisition.twin.polar import stack_layers, stack_layers_seen, sum_curves, sum_harmonics
from acquisition.twin.projector import areal_masses
from acquisition.twin.scattering import Smooth, cross_section
from acquisition.twin.slice import Slice
from operando.profile import Effects

AIR_G_CM2 = 0.0012 * 15
"""Air between collimator and beam stop, 15 cm of it: the same for every pulse that has beam."""
LAYER_PIXELS = 0.6
"""Steps of depth move the outermost ring by this, a quarter of a reflection's standard deviation: between two layers it is
wider by 0.8 % at most, and less on all other rings."""
N_KEPT = 2
"""Samples of different times that are kept ready."""

Grid = NDArray[np.float32]
"""Single precision is a thousandth of what a photon more or less makes, and half the way through memory."""


class Scene(Protocol):
    """Gives means; from any thread."""

    @property
    def basis(self) -> NDArray[np.float64]:
        """What each component is worth at each azimuth, shape (azimuth, component); the same for all pulses."""
        ...

    def components(self, sample: Slice, beam: Beam) -> Grid:
        """Give what :meth:`mean` is made of, shape (component, node): the mean is the basis times it."""
        ...

    def mean(self, sample: Slice, beam: Beam) -> Grid:
        """Give cm^2/sr/cm^2, photons per photon and steradian, shape (azimuth, node)."""
        ...


class FlatScene:
    """A thin sample of random powders: one radial curve, all mass in one plane at the rotation axis."""

    def __init__(
        self, materials: tuple[str, ...], grid: PolarGrid, *, wavelength_angstrom: float, effects: Effects | None = None
    ) -> None:
        nodes, smooth = grid.two_theta_rad, _smooth(effects or Effects())
        self._air = _air(grid, effects or Effects(), wavelength_angstrom=wavelength_angstrom)
        self._curves = np.stack(
            [cross_section(material, nodes, wavelength_angstrom=wavelength_angstrom, smooth=smooth) for material in materials]
        )

    @property
    def basis(self) -> NDArray[np.float64]:
        """One azimuth stands for all."""
        return np.ones((1, 1))

    def components(self, sample: Slice, beam: Beam) -> Grid:
        """Give the mean itself."""
        return self.mean(sample, beam)

    def mean(self, sample: Slice, beam: Beam) -> Grid:
        """Give the mean on a grid of one azimuth."""
        masses = areal_masses(sample, angle_deg=beam.angle_deg, s_mm=beam.s_mm, width_mm=beam.width_mm)
        return np.asarray(masses @ self._curves + self._air, dtype=np.float32)[np.newaxis]


class DeepScene:
    """A sample with depth: lattices, parallax, texture and absorption as far as the effects ask for them."""

    def __init__(self, sample: Slice, grid: PolarGrid, *, wavelength_angstrom: float, effects: Effects) -> None:
        self._grid, self._effects, self._wavelength = grid, effects, wavelength_angstrom
        self._curves = make_curves(
            sample,
            grid.two_theta_rad,
            wavelength_angstrom=wavelength_angstrom,
            follows_lithium=effects.lattice,
            is_textured=effects.texture,
            smooth=_smooth(effects),
        )
        self._air = _air(grid, effects, wavelength_angstrom=wavelength_angstrom)
        self._n_harmonics = self._curves.textured.shape[1] if self._curves.textured.size else 1
        self._textured = self._curves.textured[:, : self._n_harmonics]
        self._layers = _divide_depth(sample, grid, effects)
        depth = self._layers.depth_mm if effects.parallax else np.zeros(self._layers.n)
        self._scales = 1 - (depth + effects.axis_downstream_mm) / grid.distance_mm
        self._cosine = np.cos(grid.azimuths_rad)
        self._voxels_of: Callable[[Slice], Voxels] = functools.lru_cache(maxsize=N_KEPT)(self._make_voxels)

    @property
    def basis(self) -> NDArray[np.float64]:
        """Cosines of even multiples of the azimuth; each azimuth itself where rays have ways out of their own."""
        if self._effects.absorption == "first-order":
            return np.eye(self._cosine.size)
        return np.cos(2 * np.outer(self._grid.azimuths_rad, np.arange(self._n_harmonics)))

    def mean(self, sample: Slice, beam: Beam) -> Grid:
        """Give the mean on the scene's grid."""
        components = self.components(sample, beam)
        if self._effects.absorption == "first-order":
            return components
        seen = np.empty((self._cosine.size, self._air.size), dtype=np.float32)
        sum_harmonics(components, self._cosine, seen)
        return seen

    def components(self, sample: Slice, beam: Beam) -> Grid:
        """Give the harmonics of the azimuth; what every azimuth sees where rays have ways out of their own."""
        voxels = self._voxels_of(sample)
        masses = channel_masses(voxels, beam, self._layers)
        curves = np.empty((self._layers.n, self._n_harmonics, self._air.size), dtype=np.float32)
        sum_curves(masses, self._curves.plain, self._textured, curves)
        air = (self._air * mean_transmission(voxels, beam)).astype(np.float32)
        if self._effects.absorption == "first-order":
            return self._seen(voxels, beam, curves) + air
        stacked = np.empty(curves.shape[1:], dtype=np.float32)
        stack_layers(curves, self._scales, stacked)
        stacked[0] += air
        return stacked

    def _seen(self, voxels: Voxels, beam: Beam, curves: NDArray[np.float32]) -> Grid:
        ways_out, paths = _ways_out(voxels, beam, self._layers, self._grid)
        seen = np.empty((self._cosine.size, self._air.size), dtype=np.float32)
        tangent = np.tan(self._grid.two_theta_rad)
        stack_layers_seen(curves, self._scales, ways_out, paths, tangent, self._cosine, seen)
        return seen

    def _make_voxels(self, sample: Slice) -> Voxels:
        attenuation = attenuation_map(sample, wavelength_angstrom=self._wavelength)
        if self._effects.absorption == "none":
            attenuation = np.zeros_like(attenuation)
        return make_voxels(sample, self._curves, attenuation)


def make_scene(sample: Slice, grid: PolarGrid, *, wavelength_angstrom: float, effects: Effects) -> Scene:
    """Make the simplest scene that shows the effects."""
    if effects.reaches_into_depth or effects.beam_um > 0:
        return DeepScene(sample, grid, wavelength_angstrom=wavelength_angstrom, effects=effects)
    return FlatScene(sample.materials, grid, wavelength_angstrom=wavelength_angstrom, effects=effects)


def _smooth(effects: Effects) -> Smooth:
    return Smooth(halo=effects.halo, compton=effects.compton, thermal=effects.thermal_diffuse)


def _air(grid: PolarGrid, effects: Effects, *, wavelength_angstrom: float) -> NDArray[np.float64]:
    nodes = grid.two_theta_rad
    if not effects.air:
        return np.zeros_like(nodes)
    return AIR_G_CM2 * cross_section("air", nodes, wavelength_angstrom=wavelength_angstrom, smooth=_smooth(effects))


def _divide_depth(sample: Slice, grid: PolarGrid, effects: Effects) -> Layers:
    if not (effects.parallax or effects.absorption == "first-order"):
        return Layers(first_mm=0.0, step_mm=1.0, n=1)
    is_filled = np.any(sample.density_g_cm3 > 0, axis=-1)
    axis = sample.axis_mm
    reach = float(np.hypot(axis[:, np.newaxis], axis)[is_filled].max(initial=sample.voxel_mm)) + sample.voxel_mm
    step = LAYER_PIXELS * grid.distance_mm / grid.outer_pixels
    n = max(2, int(np.ceil(2 * reach / step)) + 1)
    return Layers(first_mm=-reach, step_mm=2 * reach / (n - 1), n=n)


N_SLOPES = 5
N_ACROSS = 3


def _ways_out(voxels: Voxels, beam: Beam, layers: Layers, grid: PolarGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give for each layer how its scattered rays are attenuated beside the straight one: see :func:`stack_layers_seen`."""
    angle = np.radians(beam.angle_deg)
    slopes = np.linspace(-1, 1, N_SLOPES) * np.tan(grid.two_theta_rad[-1])
    across = beam.s_mm + (np.arange(N_ACROSS) - (N_ACROSS - 1) / 2) * beam.width_mm / N_ACROSS
    paths = np.array(
        [
            [
                [
                    path_integral(voxels.attenuation, voxels.voxel_mm, np.cos(angle), np.sin(angle), s, z, slope)
                    for slope in slopes
                ]
                for s in across
            ]
            for z in layers.depth_mm
        ]
    )
    straight = paths[..., N_SLOPES // 2]
    relative = np.exp(straight[..., np.newaxis] - paths).mean(axis=1)
    powers = np.vander(slopes, 3, increasing=True)
    return np.ascontiguousarray(np.linalg.lstsq(powers, relative.T, rcond=None)[0].T), straight.mean(axis=1)
