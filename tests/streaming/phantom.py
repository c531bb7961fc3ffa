"""A small phantom of discs for the tests of the analysis, as lines that the join could have written; no part of the twin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operando.messages import RunStarted
from operando.profile import Profile, read_profile
from operando.scan import LineKey
from streaming.channels import PatternModel, make_pattern_model
from streaming.line import Line

Array = NDArray[np.float64]

N_LINES, N_POINTS, STEP_MM, CENTRE_MM = 36, 31, 0.1, 0.07
RUN = "phantom"


@dataclass(frozen=True, kw_only=True)
class Disc:
    """A disc of phases, mass densities in relative units."""

    x: float
    y: float
    radius: float
    amounts: dict[str, float]


DISCS = (
    Disc(x=0.0, y=0.0, radius=1.25, amounts={"al": 0.15}),
    Disc(x=0.45, y=0.35, radius=0.5, amounts={"graphite": 0.2, "lic12": 0.8}),
    Disc(x=-0.5, y=0.3, radius=0.4, amounts={"lic12": 0.5, "lic6": 0.7}),
    Disc(x=0.0, y=-0.6, radius=0.5, amounts={"nmc": 2.0}),
)


def demo_profile(*, refines: bool = False) -> Profile:
    """Give the demo profile with fewer bins, for speed, and without the full profile unless it is wanted."""
    profile = read_profile("demo")
    # The phantom's reflections are Gaussian; to find that out takes seconds.
    refinement = profile.refinement.model_copy(update={"enabled": refines, "lorentz_fraction": 0.0, "n_background": 8})
    integration = profile.integration.model_copy(update={"n_radial": 750})
    return profile.model_copy(update={"integration": integration, "refinement": refinement})


def a_run(*, n_lines: int = N_LINES, angle_range_deg: float = 180.0) -> RunStarted:
    """Give the run's opening message."""
    return RunStarted(
        run=RUN,
        time_s=1000.0,
        profile="demo",
        plan="tomogram",
        angles_deg=[i * angle_range_deg / n_lines for i in range(n_lines)],
        first_position_mm=-STEP_MM * (N_POINTS - 1) / 2,
        step_mm=STEP_MM,
        n_points=N_POINTS,
        exposure_s=0.039,
        period_s=0.04,
        speed_mm_s=2.5,
    )


class Phantom:
    """Makes lines of the discs: exact chords, a smooth background, noise of a stated number of pixels a bin."""

    def __init__(self, profile: Profile, *, discs: tuple[Disc, ...] = DISCS, photons: float = 0.0, seed: int = 0) -> None:
        self.profile = profile
        self.model: PatternModel = make_pattern_model(profile)
        self._names = [phase.name for phase in profile.phases]
        self._discs = discs
        self._photons = photons
        self._seed = seed
        self._scale = 1.0 / self.model.templates[:, : self.model.n_phases].max()

    def line(
        self,
        number: int,
        *,
        attempt: int = 0,
        run: RunStarted | None = None,
        missing: tuple[int, ...] = (),
        ring_current_ma: float | None = 100.0,
        offset_mm: float = 0.0,
        late_mm: float = 0.0,
        beam: Array | None = None,
        monitor: Array | None = None,
        attenuation_per_mm: float = 0.0,
        has_diode: bool = False,
        aborted: str = "",
    ) -> Line:
        """Fly a line: even ones upwards, odd ones downwards.

        ``offset_mm`` is known to the positions; ``late_mm``, by which the detector lags in the sense of flight, is not.
        ``beam`` multiplies each point; ``attenuation_per_mm`` is that of the first disc and dims air and sample alike.
        """
        run = run or a_run()
        direction = 1 if number % 2 == 0 else -1
        positions = run.first_position_mm + run.step_mm * np.arange(run.n_points)[::direction] + offset_mm
        true_mm = positions + direction * late_mm
        angle_deg = run.angles_deg[number]
        transmission = np.exp(-attenuation_per_mm * self._chords(self._discs[0], true_mm, angle_deg))
        expected = self._expected(true_mm, angle_deg) * ((ring_current_ma or 100.0) / 100.0)
        expected *= (transmission * (1.0 if beam is None else beam))[:, None]
        # Pixels of a bin grow with q; each counts photons.
        n_pixels = self._photons * self.model.q[None, :] if self._photons else np.full_like(expected, 1e12)
        random = np.random.default_rng([self._seed, number, attempt])
        mean = random.poisson(expected * n_pixels) / n_pixels if self._photons else expected
        variance = np.maximum(mean, 1e-9) / n_pixels
        received = np.ones(run.n_points, dtype=np.bool_)
        received[list(missing)] = False
        mean, variance = np.where(received[:, None], mean, np.nan), np.where(received[:, None], variance, np.nan)
        return Line(
            key=LineKey(run=run.run, line=number, attempt=attempt),
            series=7,
            first_image_id=number * run.n_points,
            angle_deg=run.angles_deg[number],
            direction=direction,
            positions_mm=positions,
            positions_source="captured",
            is_received=received,
            q=self.model.q,
            mean=mean.astype(np.float32),
            trimmed=mean.astype(np.float32),
            variance=variance.astype(np.float32),
            ring_current_ma=ring_current_ma,
            cell=None,
            start_s=1000.0 + 3 * number,
            end_s=1002.0 + 3 * number,
            geometry_sha256="0" * 64,
            monitor=monitor,
            transmitted=5e4 * transmission * (1.0 if beam is None else beam) if has_diode else None,
            aborted=aborted,
        )

    def truth(self, axis_mm: Array, *, margin_mm: float = 0.0) -> Array:
        """Give the amount of each phase at voxel centres, shape (y, x, phase); NaN within the margin of an edge."""
        y, x = np.meshgrid(axis_mm, axis_mm, indexing="ij")
        truth = np.zeros((*x.shape, len(self._names)))
        for disc in self._discs:
            distance = np.hypot(x - disc.x, y - disc.y) - disc.radius
            for name, amount in disc.amounts.items():
                truth[distance < 0, self._names.index(name)] += amount
        for disc in self._discs:
            truth[np.abs(np.hypot(x - disc.x, y - disc.y) - disc.radius) < margin_mm] = np.nan
        return truth

    def _expected(self, positions_mm: Array, angle_deg: float) -> Array:
        amounts = np.zeros((positions_mm.size, self.model.templates.shape[1]))
        for disc in self._discs:
            chords = self._chords(disc, positions_mm, angle_deg)
            for name, amount in disc.amounts.items():
                amounts[:, self._names.index(name)] += amount * chords * self._scale
            amounts[:, self.model.n_phases :] += 0.02 * chords[:, None]
        # Air on the whole path: smooth, the same at every position.
        amounts[:, self.model.n_phases :] += 0.05
        return amounts @ self.model.templates.T

    @staticmethod
    def _chords(disc: Disc, positions_mm: Array, angle_deg: float) -> Array:
        angle = np.deg2rad(angle_deg)
        distance = positions_mm - CENTRE_MM - (disc.x * np.cos(angle) + disc.y * np.sin(angle))
        chords: Array = 2 * np.sqrt(np.maximum(disc.radius**2 - distance**2, 0))
        return chords
