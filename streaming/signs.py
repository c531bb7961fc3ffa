"""Which way everything counts: receives lines over a pin off the axis, gives the sign of rotation, translation, beam, detector.

The pin's way over the angles, s(theta) = x cos(theta) + y sin(theta), tells where it stands at angle 0. A translation that
counts the other way puts it at (-x, -y), a rotation that turns the other way at (x, -y), both at (-x, y): whoever mounted the
pin knows the quadrant. Its depth z(theta) = -x sin(theta) + y cos(theta), downstream positive, shows in its reflections: a
scatterer z nearer to the detector at distance L has rings of radius (L - z) tan(2 theta): at small angles q falls by z/L. A
beam from the other side raises it: corrected with that sign, the parallax would double. An image that is mirrored has its rings
about another place than the geometry says: they are smeared, and sectors of azimuth tell where to (:mod:`streaming.smear`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from streaming.line import Line
from streaming.smear import Smear, find_smear

WINDOW = 0.05
"""Of q, to either side of the reflection: several widths of it, and more than the shift of any pin."""

SURE = 4.0
"""Standard deviations by which a sign must be known."""

SMEARED = 2.5
"""Times its width at which a reflection is smeared: no size of pin and no texture widens it so."""

WIDENED = 1.35
"""Times its width up to which nothing is wrong with it; between the two the profile's fwhm_deg may be too small, or the image
mirrored about a line near the beam, where its rings stay almost in place."""


_UNKNOWN = {
    "detector": "the reflections are wider than the profile's fwhm_deg, or the image is mirrored: set integration.sectors = 12 "
    "and fly the sign test again, sectors tell the two apart"
}

_OF_ANOTHER = "the image is mirrored or turned, or the geometry is another's: calibrate again"
_TURN = "turn it back in the detector's settings, or calibrate with frames as they come"

_AS_MIRRORED = 0.25
"""Part of the displacement by which it may differ from that of a mirrored image, and the same in radian of its direction."""

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """What is known of the pin beforehand."""

    q: float
    """Of its strongest reflection that stands alone, 1/angstrom."""
    fwhm_q: float
    """Width of the reflection, 1/angstrom."""
    x_mm: float
    y_mm: float
    """About where it stands at rotation 0; only the quadrant counts."""
    distance_mm: float
    """From sample to detector."""
    wavelength_angstrom: float
    off_middle_mm: tuple[float, float] = (0.0, 0.0)
    """Where the beam meets the detector, from its middle, along its rows and along its columns: half of what rings are
    displaced by when the image is left for right, and when it is upside down."""
    rotation_axis_deg: float = 90.0
    """Direction of the projected rotation axis, from along the rows to along the columns."""

    @property
    def mm_per_q(self) -> float:
        """How much the radius of a ring grows with q at the reflection."""
        theta = np.arcsin(self.q * self.wavelength_angstrom / (4 * np.pi))
        return float(self.distance_mm * np.tan(2 * theta) / (self.q * _gain(self)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What the pin says; a sign is +1 as operando counts, -1 the other way, 0 not known."""

    x_mm: float
    y_mm: float
    place_sigma_mm: float
    translation: int
    rotation: int
    beam: int
    """+1: the depth that the geometry says; -1: the beam comes from the other side."""
    parallax: float
    """Measured over expected; 1 where all is right."""
    parallax_sigma: float
    width: float
    """Of the reflection, over that of the profile."""
    smear: Smear | None = None
    """How far rings are off, where sectors were kept."""

    @property
    def detector(self) -> int:
        """-1 where reflections are smeared, as by a mirrored or turned image; 0 where nobody can tell."""
        if self.smear is not None:
            return -1 if self.smear.is_displaced else 1
        return 1 if self.width < WIDENED else -1 if self.width > SMEARED else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The pin in one line."""

    angle_rad: float
    position_mm: float
    q: float
    width_q: float
    strength: float


def find_signs(lines: Sequence[Line], pin: Pin) -> Signs | str:
    """Give the signs that the lines prove, or why none can be had."""
    seen = [one for line in lines if (one := _look(line, pin)) is not None]
    smear = find_smear(lines, q=pin.q, fwhm_q=pin.fwhm_q, mm_per_q=pin.mm_per_q)
    if len(seen) < 5:
        is_displaced = smear is not None and smear.is_displaced
        why = (
            f"the sign of the detector is WRONG: {_displaced(smear, pin)}"
            if smear is not None and is_displaced
            else "is it of the phase that the profile says, do the lines cross it, is the geometry right?"
        )
        return f"the pin is seen in {len(seen)} of {len(lines)} lines, wanted 5 at least: {why}"
    strength = np.array([one.strength for one in seen])
    weight = np.sqrt(strength / strength.max())
    angle = np.array([one.angle_rad for one in seen])
    design = np.column_stack([np.ones(angle.size), np.cos(angle), np.sin(angle)])
    place, place_sigma = _fit(design, np.array([one.position_mm for one in seen]), weight)
    x_mm, y_mm = float(place[1]), float(place[2])
    sigma_mm = float(max(place_sigma[1], place_sigma[2]))
    translation, rotation = _quadrant(pin, x_mm=x_mm, y_mm=y_mm, sigma_mm=sigma_mm)
    # The depth as it is once the other two signs are put right.
    x_true, y_true = translation * x_mm, translation * rotation * y_mm
    turned = rotation * angle if rotation else angle
    depth_mm = -x_true * np.sin(turned) + y_true * np.cos(turned)
    slope, slope_sigma = _fit(np.column_stack([np.ones(angle.size), depth_mm]), np.log([one.q for one in seen]), weight)
    expected = -_gain(pin) / pin.distance_mm
    parallax, parallax_sigma = float(slope[1] / expected), float(abs(slope_sigma[1] / expected))
    is_known = translation != 0 and rotation != 0 and abs(parallax) > SURE * parallax_sigma
    return Signs(
        x_mm=x_mm,
        y_mm=y_mm,
        place_sigma_mm=sigma_mm,
        translation=translation,
        rotation=rotation,
        beam=int(np.sign(parallax)) if is_known else 0,
        parallax=parallax,
        parallax_sigma=parallax_sigma,
        width=float(np.median([one.width_q for one in seen])) / pin.fwhm_q,
        smear=smear,
    )


def words_of(signs: Signs, pin: Pin) -> list[tuple[Literal["info", "warning", "error"], str]]:
    """Say of each sign whether it is right, and if not what puts it right."""
    found = (
        f"the pin stands at x {signs.x_mm:+.3f}, y {signs.y_mm:+.3f} mm (+- {signs.place_sigma_mm:.3f}), "
        f"mounted at x {pin.x_mm:+g}, y {pin.y_mm:+g}"
    )
    remedies = (
        ("translation", signs.translation, "reverse DIR of the fast axis' motor record (listening: listen.position_factor)"),
        ("rotation", signs.rotation, "reverse DIR of the rotation's motor record (listening: listen.angle_factor)"),
        ("beam", signs.beam, "is the pin where the profile says (y is downstream at angle 0), is the distance right?"),
        (
            "detector",
            signs.detector,
            _displaced(signs.smear, pin) if signs.smear is not None else _OF_ANOTHER,
        ),
    )
    measured = (
        f"parallax {signs.parallax:.2f} +- {signs.parallax_sigma:.2f} of the expected, "
        f"reflections {signs.width:.1f} times as wide as the profile says"
    )
    words: list[tuple[Literal["info", "warning", "error"], str]] = [("info", f"sign test: {found}; {measured}")]
    for name, sign, remedy in remedies:
        if sign < 0:
            words.append(("error", f"sign test: the sign of the {name} is WRONG: {remedy}"))
        elif sign == 0:
            remedy = _UNKNOWN.get(name, "put the pin farther off the axis, or expose longer")
            words.append(("warning", f"sign test: the sign of the {name} is not known: {remedy}"))
        else:
            words.append(("info", f"sign test: the sign of the {name} is right"))
    return words


def _displaced(smear: Smear, pin: Pin) -> str:
    """Say how far the rings are off, and which way of turning the image would do that."""
    along_deg = (smear.direction_deg + pin.rotation_axis_deg) % 180.0
    found = smear.displacement_mm * np.exp(2j * np.deg2rad(along_deg))
    found_text = f"its rings are off by about {smear.displacement_mm:.2g} mm"
    rows_mm, columns_mm = (2 * abs(off) for off in pin.off_middle_mm)
    turned = 2 * complex(*pin.off_middle_mm)
    kinds = (
        ("left for right", rows_mm, 1.0),
        ("upside down", columns_mm, -1.0),
        ("turned by 180 degrees", abs(turned), (turned / (abs(turned) or 1.0)) ** 2),
    )
    for name, distance_mm, direction in kinds:
        # Twice the angle, since a displacement and its opposite look alike.
        if abs(found - distance_mm * direction) < 2 * _AS_MIRRORED * smear.displacement_mm:
            return f"{found_text}, as in an image that is {name}: {_TURN}"
    return f"{found_text} or more: {_OF_ANOTHER}"


def _quadrant(pin: Pin, *, x_mm: float, y_mm: float, sigma_mm: float) -> tuple[int, int]:
    """Give the signs of translation and rotation; 0 where the pin is too near to an axis to tell."""
    same_x, same_y = x_mm * pin.x_mm, y_mm * pin.y_mm
    is_known = min(abs(x_mm), abs(y_mm)) > SURE * sigma_mm and pin.x_mm * pin.y_mm != 0
    if not is_known:
        return 0, 0
    translation = 1 if same_x > 0 else -1
    return translation, translation * (1 if same_y > 0 else -1)


def _gain(pin: Pin) -> float:
    """Give d ln q / d ln r of a ring of radius r = L tan(2 theta): 1 at small angles."""
    theta = np.arcsin(pin.q * pin.wavelength_angstrom / (4 * np.pi))
    return float(0.5 / np.tan(theta) * np.tan(2 * theta) * np.cos(2 * theta) ** 2)


def _look(line: Line, pin: Pin) -> _Seen | None:
    """Find the pin in a line: where its reflection is strongest, and at which q; None if it does not stand out."""
    near = np.abs(line.q - pin.q) < WINDOW * pin.q
    side = ~near & (np.abs(line.q - pin.q) < 2 * WINDOW * pin.q)
    received = line.is_received & np.isfinite(line.mean[:, near]).all(axis=1)
    patterns = line.mean[received].astype(np.float64)
    if not len(patterns):
        return None
    peak = patterns[:, near] - patterns[:, side].mean(axis=1, keepdims=True)
    strength = peak.sum(axis=1)
    noise = 1.4826 * float(np.median(np.abs(strength - np.median(strength)))) + 1e-12
    is_pin = strength > np.median(strength) + max(8 * noise, 0.2 * float(strength.max() - np.median(strength)))
    if not is_pin.any():
        return None
    excess = strength[is_pin] - np.median(strength)
    # Air and what else is in every point goes out with the points beside the pin.
    curve = peak[is_pin].sum(axis=0) - is_pin.sum() * (peak[~is_pin].mean(axis=0) if (~is_pin).any() else 0.0)
    centre, width = _centroid(line.q[near], curve, fwhm=pin.fwhm_q)
    if not np.isfinite(centre):
        return None
    return _Seen(
        angle_rad=float(np.deg2rad(line.angle_deg)),
        position_mm=float(excess @ line.positions_mm[received][is_pin] / excess.sum()),
        q=centre,
        width_q=width,
        strength=float(excess.sum()),
    )


def _centroid(q: Array, curve: Array, *, fwhm: float) -> tuple[float, float]:
    """Give centre and full width at half maximum of a reflection, by moments of what is above a tenth of its height."""
    top = float(curve.max())
    kept = np.where(curve > 0.1 * top, curve, 0.0)
    if top <= 0 or not kept.any():
        return float("nan"), float("nan")
    centre = float(kept @ q / kept.sum())
    variance = float(kept @ (q - centre) ** 2 / kept.sum())
    return centre, float(np.sqrt(8 * np.log(2) * max(variance, (0.1 * fwhm) ** 2)))


def _fit(design: Array, values: Array, weight: Array) -> tuple[Array, Array]:
    """Give weighted least squares and its standard uncertainties from the scatter."""
    weighted = design * weight[:, np.newaxis]
    solution = np.asarray(np.linalg.lstsq(weighted, np.asarray(values) * weight)[0], dtype=np.float64)
    residual = np.asarray(values) * weight - weighted @ solution
    variance = float(residual @ residual) / max(1, len(residual) - design.shape[1])
    sigma: Array = np.sqrt(np.diag(np.linalg.pinv(weighted.T @ weighted)) * variance)
    return solution, sigma
