"""What a run that sets the beamline up has found: receives its lines, gives sentences for the person at the beamline."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from operando.errors import ProfileError
from operando.messages import RunStarted
from operando.profile import Profile
from streaming import alignment, signs
from streaming.integrate.geometry import load_poni, read_geometry
from streaming.line import Line
from streaming.phases import read_structure

Level = Literal["info", "warning", "error"]

ALONE = 0.1
"""A reflection stands alone if no other of any phase is nearer than this part of its q."""


def findings(profile: Profile, run: RunStarted, lines: Sequence[Line]) -> list[tuple[Level, str]]:
    """Give what the lines of a run show, by what they were flown for; nothing for a run that makes maps."""
    purpose = run.metadata.get("purpose")
    if purpose == "align":
        return _align(profile, lines)
    if purpose == "sign_test":
        return _sign_test(profile, lines)
    return []


def _align(profile: Profile, lines: Sequence[Line]) -> list[tuple[Level, str]]:
    found = alignment.find_alignment(lines) if lines else "no line has come"
    if isinstance(found, str):
        return [("error", f"align: {found}")]
    return [("info", f"align: {words}") for words in alignment.words_of(found, profile)]


def _sign_test(profile: Profile, lines: Sequence[Line]) -> list[tuple[Level, str]]:
    try:
        pin = make_pin(profile)
    except ProfileError as wrong:
        return [("error", f"sign test: {wrong}")]
    found = signs.find_signs(lines, pin)
    return [("error", f"sign test: {found}")] if isinstance(found, str) else signs.words_of(found, pin)


def make_pin(profile: Profile) -> signs.Pin:
    """Give the pin that a profile names, by the strongest reflection of its phase that stands alone.

    Raises
    ------
    ProfileError
        If the profile names no pin, or its phase has no such reflection.
    """
    named = profile.sign_pin
    if named is None:
        raise ProfileError("the profile has no section sign_pin: say which phase the pin is of, and where it stands")
    settings, phases = profile.integration, {phase.name: phase for phase in profile.phases}
    if named.phase not in phases:
        raise ProfileError(f"sign_pin.phase {named.phase!r} is not among the phases {', '.join(phases)}")
    structures = {name: read_structure(profile.path(one.cif), name=name, q_max=settings.q_max) for name, one in phases.items()}
    others = [q for structure in structures.values() for q in structure.q]
    own = structures[named.phase]
    alone = [
        (strength, float(q))
        for q, strength in zip(own.q, own.strength / own.q**2, strict=True)
        if settings.q_min < q * (1 - ALONE) and not any(0 < abs(q - other) < ALONE * q for other in others)
    ]
    if not alone:
        raise ProfileError(f"no reflection of {named.phase} stands {100 * ALONE:g} % away from all others: take another pin")
    _, q = max(alone)
    wavelength = read_geometry(profile).wavelength_angstrom
    # dq of d(2 theta): q = 4 pi sin(theta) / lambda.
    theta = np.arcsin(q * wavelength / (4 * np.pi))
    fwhm_q = float(np.deg2rad(phases[named.phase].fwhm_deg) * 2 * np.pi * np.cos(theta) / wavelength)
    poni, detector = load_poni(profile.path(profile.geometry.poni)), profile.detector
    beam = poni.getFit2D()
    off_pixels = (beam["centerX"] - 0.5 * detector.n_columns, beam["centerY"] - 0.5 * detector.n_rows)
    return signs.Pin(
        q=q,
        fwhm_q=fwhm_q,
        x_mm=named.x_mm,
        y_mm=named.y_mm,
        distance_mm=1000 * float(poni.dist),
        wavelength_angstrom=wavelength,
        off_middle_mm=(1000 * detector.pixel_m * off_pixels[0], 1000 * detector.pixel_m * off_pixels[1]),
        rotation_axis_deg=profile.geometry.rotation_axis_deg,
    )
