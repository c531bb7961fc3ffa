"""Live channels: receives patterns, gives the some twenty numbers of each that a linear fit of phases needs.

A pattern is modelled as a non-negative sum of phase templates and smooth background functions, the columns of A. For fixed
weights w(q) the least-squares fit sees the pattern I only through its channels c = A^T W I and the Gram matrix A^T W A.
Channels are linear in the pattern, so they can be reconstructed in its place: fitting the reconstructed channels is exactly the
weighted fit of the reconstructed pattern (docs/decisions/0010).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pyFAI.io.ponifile import PoniFile
from scipy.interpolate import BSpline

from operando.errors import DataError, MissingInputError
from operando.profile import Phase, Profile
from streaming.phases import Structure, powder_template, q_edges_from_centres, read_structure
from streaming.refine.crystal import read_crystal
from streaming.refine.texture import Texture, window_of

Array = NDArray[np.float64]

_SPLINE_DEGREE = 3
_VARIANCE_FLOOR = 1e-3
"""Of the median variance; a bin cannot be trusted a thousand times more than its neighbours, whatever its few counts say."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PatternModel:
    """What a pattern is made of: one template per phase, then the background functions."""

    q: Array
    """Bin centres, shape (n_radial,), 1/angstrom."""
    templates: Array
    """Phases first, in the order of ``structures``, then background; shape (n_radial, n_templates)."""
    structures: tuple[Structure, ...]
    q_windows: tuple[tuple[float, float], ...] = ()
    """Ranges of q that the fit uses, 1/angstrom; empty uses all."""

    @property
    def is_in_window(self) -> NDArray[np.bool_]:
        """Which bins the fit may use, shape (n_radial,)."""
        if not self.q_windows:
            return np.ones(self.q.size, dtype=np.bool_)
        return np.logical_or.reduce([(self.q >= low) & (self.q <= high) for low, high in self.q_windows])

    @property
    def n_phases(self) -> int:
        """Number of templates that are phases."""
        return len(self.structures)

    @property
    def reflections(self) -> dict[str, list[float]]:
        """Where each phase's reflections are within the range of q, 1/angstrom."""
        low, high = self.q[0], self.q[-1]
        return {structure.name: [float(q) for q in structure.q if low <= q <= high] for structure in self.structures}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LiveChannels:
    """A pattern model with the weights of its fit."""

    model: PatternModel
    weights: Array
    """Weight of each bin, shape (n_radial,); 0 where no pixel is."""

    @property
    def gram(self) -> Array:
        """A^T W A, shape (n_templates, n_templates)."""
        gram: Array = self.model.templates.T @ (self.weights[:, None] * self.model.templates)
        return gram

    def channels(self, patterns: Array) -> Array:
        """Give A^T W I of each pattern: (n_points, n_radial) to (n_points, n_templates). NaN patterns give NaN channels."""
        counted = self.weights > 0
        channels: Array = patterns[:, counted] @ (self.weights[:, None] * self.model.templates)[counted]
        return channels

    def effective_variance(self, variance: Array) -> Array:
        """Give one number for the noise of each pattern: the variance of its bins, averaged as the channels weigh them.

        Shape (n_points,), (photons per pixel) squared. The covariance of a point's channels is this times
        :meth:`unit_covariance`, exactly so where the variance has the same course over q as the scan's mean variance.
        """
        counted = self.weights > 0
        effective: Array = variance[:, counted] @ self._noise_weights[counted]
        return effective

    def unit_covariance(self, mean_variance: Array) -> Array:
        """Give the covariance of the channels for unit effective variance, shape (n_templates, n_templates)."""
        variance = np.where(self.weights > 0, mean_variance, 0.0)
        weighted = self.weights[:, None] * self.model.templates
        covariance: Array = weighted.T @ (variance[:, None] * weighted) / float(variance @ self._noise_weights)
        return covariance

    @property
    def unit_variance(self) -> Array:
        """Variance of each channel where every bin has variance 1, shape (n_templates,); 1 for a template that is empty."""
        variance: Array = ((self.weights[:, None] * self.model.templates) ** 2).sum(axis=0)
        return np.where(variance > 0, variance, 1.0)

    @property
    def _noise_weights(self) -> Array:
        weighted = self.weights[:, None] * self.model.templates
        weights: Array = (weighted**2 / self.unit_variance).mean(axis=1)
        return weights


def make_pattern_model(profile: Profile) -> PatternModel:
    """Make the model that a profile describes: its phases, and ``n_background`` cubic B-splines over its q range."""
    settings = profile.integration
    edges = np.linspace(settings.q_min, settings.q_max, settings.n_radial + 1)
    q = 0.5 * (edges[1:] + edges[:-1])
    wavelength_angstrom = wavelength_of(profile)
    structures = tuple(_structure(profile, phase) for phase in profile.phases)
    templates = [
        powder_template(structure, q_edges=edges, wavelength_angstrom=wavelength_angstrom, fwhm_deg=phase.fwhm_deg)
        for structure, phase in zip(structures, profile.phases, strict=True)
    ]
    background = background_functions(q, n_functions=profile.reconstruction.n_background)
    model = PatternModel(
        q=q,
        templates=np.column_stack([*templates, background]),
        structures=structures,
        q_windows=profile.reconstruction.q_windows,
    )
    _check_windows(model)
    return model


def _structure(profile: Profile, phase: Phase) -> Structure:
    """Give a phase's reflections, of a texture that is known as strong as it makes them."""
    path, q_max = profile.path(phase.cif), 1.05 * profile.integration.q_max
    structure = read_structure(path, name=phase.name, q_max=q_max)
    if phase.fibre is None or phase.march is None:
        return structure
    textured = Texture(window=window_of(profile), march={}).of(read_crystal(path, name=phase.name, q_max=q_max), phase)
    return replace(structure, q=textured.q(), strength=textured.strength)


def _check_windows(model: PatternModel) -> None:
    """Refuse windows in which a phase that is asked for shows nothing: its amount would be made up."""
    is_shown: NDArray[np.bool_] = np.any(model.templates[model.is_in_window, : model.n_phases] > 0, axis=0)
    unseen = [structure.name for structure, shown in zip(model.structures, is_shown.tolist(), strict=True) if not shown]
    if model.q_windows and unseen:
        raise DataError(
            f"reconstruction.q_windows {[list(window) for window in model.q_windows]} hold no reflection of "
            f"{', '.join(unseen)}; patterns reach from {model.q[0]:.3f} to {model.q[-1]:.3f} 1/angstrom: widen the windows, or "
            "leave the phase out"
        )


def background_functions(q: Array, *, n_functions: int) -> Array:
    """Give B-splines of equal knots over the range of q, non-negative with sum 1, shape (n_radial, n_functions)."""
    edges = q_edges_from_centres(q)
    degree = min(_SPLINE_DEGREE, n_functions - 1)
    inner = np.linspace(edges[0], edges[-1], n_functions - degree + 1)
    knots = np.r_[[edges[0]] * degree, inner, [edges[-1]] * degree]
    functions: Array = BSpline.design_matrix(q, knots, degree).toarray()
    return functions


def make_live_channels(model: PatternModel, variance: Array) -> LiveChannels:
    """Weigh each bin by the inverse of a typical variance, shape (n_radial,); NaN where there is no pixel.

    Any fixed weights make an unbiased fit; these make it the one of least variance for patterns of that kind.

    Raises
    ------
    DataError
        If no bin has a variance: there is nothing to fit.
    """
    is_usable = np.isfinite(variance) & (variance > 0) & model.is_in_window
    if not is_usable.any():
        raise DataError("no bin of the first line has counts: is the shutter open, and is the mask that of this detector?")
    weights = np.zeros_like(variance)
    weights[is_usable] = 1.0 / np.maximum(variance[is_usable], _VARIANCE_FLOOR * np.median(variance[is_usable]))
    return LiveChannels(model=model, weights=weights)


def distance_of(profile: Profile) -> float:
    """Give the distance from the rotation axis to the detector of a profile's geometry, mm: where the calibrant stood.

    Raises
    ------
    MissingInputError
        If there is no geometry.
    """
    path = profile.path(profile.geometry.poni)
    if not path.is_file():
        raise MissingInputError(f"no geometry file {path}; calibrate, or correct geometry.poni in the profile")
    return 1e3 * float(PoniFile(str(path)).dist)


def wavelength_of(profile: Profile) -> float:
    """Give the wavelength of a profile's geometry, angstrom.

    Raises
    ------
    MissingInputError
        If there is no geometry.
    DataError
        If it does not tell the wavelength.
    """
    path = profile.path(profile.geometry.poni)
    if not path.is_file():
        raise MissingInputError(f"no geometry file {path}; calibrate, or correct geometry.poni in the profile")
    wavelength_m = PoniFile(str(path)).wavelength
    if not wavelength_m:
        raise DataError(f"{path} holds no wavelength: without it no reflection has a place; add Wavelength (m)")
    return float(wavelength_m) * 1e10
