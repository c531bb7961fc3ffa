"""The phases that a refinement begins with: receives a profile, gives its crystals with shapes, textures and what moves."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from operando.errors import ProfileError
from operando.profile import Phase, Profile
from streaming.refine.crystal import Adjustment, read_crystal
from streaming.refine.lithium_curve import LithiumCurve
from streaming.refine.peak_shape import ConstantShape, InstrumentShape, PeakShape, SpreadShape
from streaming.refine.tables import MovingPhase
from streaming.refine.texture import Fibre, Texture, window_of


def moving_phases(
    profile: Profile,
    *,
    lorentz_fraction: float,
    march: Mapping[Fibre, float] | None = None,
    depth_spread: float = 0.0,
    aside: Collection[str] = (),
    structure: Mapping[str, Adjustment] | None = None,
) -> list[MovingPhase]:
    """Give the phases of a profile as their files, widths and textures say, drawn over a distribution of depths.

    Those that are set ``aside`` keep their place and have no reflections; atoms of others stand where ``structure`` says.

    Raises
    ------
    MissingInputError, ProfileError
        If a structure cannot be read.
    """
    texture = Texture(window=window_of(profile), march=march or {})
    phases = [
        MovingPhase(
            crystal=texture.of(
                read_crystal(
                    profile.path(phase.cif),
                    name=phase.name,
                    q_max=1.05 * profile.integration.q_max,
                    adjustment=(structure or {}).get(phase.name),
                ),
                phase,
            ),
            shape=_spread(_shape(profile, phase, lorentz_fraction), depth_spread),
            free=tuple(phase.refine),
            range_part=phase.range_percent / 100,
        )
        for phase in profile.phases
    ]
    return [_silent(phase) if phase.crystal.name in aside else phase for phase in phases]


def _silent(phase: MovingPhase) -> MovingPhase:
    return replace(phase, crystal=replace(phase.crystal, strength=np.zeros_like(phase.crystal.strength)), free=())


def check_phases(profile: Profile, curves: Mapping[str, LithiumCurve]) -> None:
    """Refuse phases whose cells lack what shall be refined, or whose curves want what is not.

    Raises
    ------
    ProfileError
        With what the cell has.
    MissingInputError
        If a structure cannot be read.
    """
    for phase, moving in zip(profile.phases, moving_phases(profile, lorentz_fraction=0.0), strict=True):
        has = moving.crystal.axes
        if unknown := [name for name in phase.refine if name not in (*has, "width")]:
            raise ProfileError(
                f"phase {phase.name}: refine names {', '.join(unknown)}, its cell has "
                f"{' and '.join(has) or 'no length that may move by itself'}; take it out"
            )
        if phase.name in curves and (held := [axis for axis in curves[phase.name].axes if axis not in phase.refine]):
            raise ProfileError(
                f"phase {phase.name}: {curves[phase.name].source} tells lithium from {', '.join(curves[phase.name].axes)}, but "
                f"{', '.join(held)} is not in refine: add it"
            )


def _shape(profile: Profile, phase: Phase, lorentz_fraction: float) -> PeakShape:
    instrument = profile.refinement.instrument
    if instrument is None:
        return ConstantShape(width_deg=phase.fwhm_deg, lorentz_fraction=lorentz_fraction)
    return InstrumentShape(u=instrument.u, v=instrument.v, w=instrument.w, x=instrument.x, y=instrument.y)


def _spread(shape: PeakShape, depth_spread: float) -> PeakShape:
    """Draw a shape over depths: three places that have the moments of a normal distribution (Gauss-Hermite)."""
    if depth_spread <= 0:
        return shape
    places = np.sqrt(3.0) * depth_spread * np.array([-1.0, 0.0, 1.0])
    return SpreadShape(shape=shape, relative_shift=places, weight=np.array([1.0, 4.0, 1.0]) / 6.0)
