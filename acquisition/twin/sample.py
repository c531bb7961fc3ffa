"""The simulated sample before the detector: from a gate pulse to the frame that it makes.

Wires slice, projector, cross-sections and detector; holds no physics of its own. The detector server asks for
``make_frame_source``, ``pixel_mask`` and ``write_truth``.
"""

import importlib
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import structlog
from numpy.typing import NDArray

from acquisition.twin.cable import Pulse
from acquisition.twin.footprint import Beam
from acquisition.twin.jelly_roll import draw_winding, make_jelly_roll
from acquisition.twin.misalignment import true_s_mm
from acquisition.twin.optics import Optics, make_blemishes, make_camera, make_optics, pixel_mask, twin_of
from acquisition.twin.render import Canvas, draw_frame, expected_frame
from acquisition.twin.scene import make_scene
from acquisition.twin.served_cell import open_served_cell
from acquisition.twin.slice import SampleHistory, Slice
from acquisition.twin.standard import make_pins, make_standard
from acquisition.twin.truth import FlownLine, Truth, Unchanging
from acquisition.twin.truth import write_truth as write_truth_file
from operando.errors import ProfileError
from operando.profile import Profile, Winding

__all__ = ["SAMPLES", "SampleFrames", "make_frame_source", "make_history", "make_sample", "pixel_mask", "write_truth"]

logger = structlog.get_logger(__name__)

SAME_ANGLE_DEG = 0.01
GATES_APART, TURNING_S = 3.0, 0.5
"""Gates of a line follow each other within so many exposures; between lines the axis stops and turns, which takes longer."""
FWHM_OF_SIGMA = 2 * np.sqrt(2 * np.log(2))
FREE_RUNNING = 1 << 40
"""Names of exposures that no pulse made start here, so that none has the noise of a pulse's."""
N_LEVEL_ANGLES = 16

SAMPLES: dict[str, Callable[[str, int], Slice]] = {
    "jelly-roll": lambda name, seed: make_jelly_roll(name, draw_winding(seed=seed)),
    "jelly-roll-a": lambda name, seed: make_jelly_roll(name, draw_winding(seed=seed + 1000)),
    "jelly-roll-b": lambda name, seed: make_jelly_roll(name, draw_winding(seed=seed), is_lithium_mirrored=True),
    "ceo2": lambda name, seed: make_standard(name, material="ceo2"),
    "lab6": lambda name, seed: make_standard(name, material="lab6"),
    "pins": lambda name, seed: make_pins(name),
}
"""What profile.twin.sample may name and never changes; each is made from its name and the twin's seed."""
PUBLISHED = ("aaa-pristine", "aaa-charged-c2", "aaa-charged-c20", "aaa-discharged-c2", "aaa-discharged-c20")
"""Cells of a published study, at rest: :mod:`acquisition.twin.published`."""
UNWOUND = ("half-cell", "particle")
WORKING = ("aaa-cell", "18650-cell", "18650-cell-aged", "small-cell", *UNWOUND)
"""Cells whose lithium moves as their history says: :mod:`acquisition.twin.cell`."""


class SampleFrames:
    """Frames of a sample; one object serves any number of threads, since nothing in it changes but the log of lines.

    A cell that works follows the clock of the run folder ``out``; without one its replay begins at ``begun_s``, Unix epoch,
    or now.
    """

    def __init__(self, profile: Profile, *, out: Path | None = None, begun_s: float | None = None) -> None:
        begun_s = time.time() if begun_s is None else begun_s
        twin = twin_of(profile)
        self._effects, self._seed, self._scan = twin.effects, twin.seed, profile.scan
        self._history = make_history(profile, out=out, begun_s=begun_s)
        self._log = LineLog()
        self.on_state: Callable[[float, Slice], None] = _ignore_state
        """Called from any thread with the time of a pulse, Unix epoch, and the slice that it met."""
        # While a gate is open the axis moves on by the part of a step that the exposure is of a period.
        self._beam_mm = profile.scan.step_mm * profile.scan.exposure_s / (profile.scan.exposure_s + profile.detector.readout_s)
        self._optics = make_optics(profile)
        sample = self._history.slice_at(begun_s)
        self._scene = make_scene(
            sample,
            self._optics.canvas.grid,
            wavelength_angstrom=self._optics.camera.wavelength_angstrom,
            effects=twin.effects,
        )
        self._blemishes = make_blemishes(profile, sample, self._optics)
        self._counts = twin.counts_per_pixel / self._mean_through_the_middle(sample)

    def frame(self, pulse: Pulse | None, image_id: int) -> NDArray[np.uint32]:
        """Give the counts of one exposure, shape (row, column); masked pixels hold the maximum.

        Without a pulse nobody says where the sample stands: it is then centred, at angle 0 and in full beam.
        """
        exposure = FREE_RUNNING + image_id if pulse is None else pulse.number
        beam, dose, sample = self._look(pulse)
        mean = (dose * self._counts) * self._scene.mean(sample, beam)
        if self._effects.noise:
            frame = draw_frame(self._optics.canvas, mean, seed=self._seed, exposure=exposure, highest=self._optics.highest)
        else:
            frame = self._optics.round(expected_frame(self._optics.canvas, mean))
        self._blemishes.add(frame, beam, dose=dose, exposure=exposure)
        return frame

    def mean(self, pulse: Pulse | None) -> NDArray[np.float32]:
        """Give the mean counts of a pixel of unit weight on the polar grid, shape (azimuth, node), without blemishes."""
        beam, dose, sample = self._look(pulse)
        return (dose * self._counts) * self._scene.mean(sample, beam)

    def components(self, pulse: Pulse) -> NDArray[np.float32]:
        """Give what :meth:`mean` is made of, shape (component, node): the mean is :attr:`basis` times it."""
        beam, dose, sample = self._look(pulse)
        return (dose * self._counts) * self._scene.components(sample, beam)

    @property
    def basis(self) -> NDArray[np.float64]:
        """What each component is worth at each azimuth, shape (azimuth, component)."""
        return self._scene.basis

    def truth(self, lines: Sequence[FlownLine] | None = None) -> Truth:
        """Give the truth about the lines that were flown, or about others."""
        return Truth(
            history=self._history,
            seed=self._seed,
            wavelength_angstrom=self._optics.camera.wavelength_angstrom,
            follows_lithium=self._effects.lattice,
            lines=self._log.lines() if lines is None else lines,
        )

    def sample_at(self, time_s: float) -> Slice:
        """Give the sample as it is at a time, Unix epoch."""
        return self._history.slice_at(time_s)

    def write_truth(self, path: Path) -> None:
        """Write the truth about the lines that were flown."""
        write_truth_file(self.truth(), path)

    @property
    def optics(self) -> Optics:
        """What the frames are drawn through."""
        return self._optics

    @property
    def canvas(self) -> Canvas:
        """What the frames are drawn on."""
        return self._optics.canvas

    def _look(self, pulse: Pulse | None) -> tuple[Beam, float, Slice]:
        if pulse is None:
            beam, dose, sample = self._beam(0.0, 0.0), 1.0, self._history.slice_at(time.time())
        else:
            beam = self._beam(true_s_mm(pulse, centre_mm=self._scan.centre_mm, effects=self._effects), pulse.angle_deg)
            dose = max(0.0, pulse.beam) * pulse.exposure_s / self._scan.exposure_s
            sample = self._history.slice_at(pulse.time_s)
            self._log.note(pulse)
            self.on_state(pulse.time_s, sample)
        return beam, dose, sample

    def _beam(self, s_mm: float, angle_deg: float) -> Beam:
        is_flat = self._effects.beam_shape == "flat"
        size_mm = 1e-3 * self._effects.beam_um
        return Beam(
            s_mm=s_mm,
            angle_deg=angle_deg,
            width_mm=self._beam_mm,
            sigma_mm=0.0 if is_flat else size_mm / FWHM_OF_SIGMA,
            slit_mm=size_mm if is_flat else 0.0,
        )

    def _mean_through_the_middle(self, sample: Slice) -> float:
        angles = np.arange(N_LEVEL_ANGLES) * 180 / N_LEVEL_ANGLES
        mean = np.mean([self._scene.mean(sample, self._beam(0.0, angle)) for angle in angles], axis=0, dtype=np.float64)
        return float(np.sum(self._optics.canvas.mean_weight * mean))


def _ignore_state(time_s: float, sample: Slice) -> None:
    """Let nobody know."""


class LineLog:
    """Notes which lines were flown, from the pulses alone."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: list[FlownLine] = []

    def note(self, pulse: Pulse) -> None:
        """Add a pulse: to the line that it continues, or as the first of a new one; from any thread."""
        with self._lock:
            last = self._lines[-1] if self._lines else None
            if last is not None and _continues(last, pulse):
                begin_s, end_s = min(last.start_s, pulse.time_s), max(last.end_s, pulse.time_s)
                self._lines[-1] = replace(last, start_s=begin_s, end_s=end_s, n_pulses=last.n_pulses + 1)
            else:
                time_s = pulse.time_s
                self._lines.append(FlownLine(angle_deg=pulse.angle_deg, start_s=time_s, end_s=time_s, n_pulses=1))

    def lines(self) -> list[FlownLine]:
        """Give the lines so far."""
        with self._lock:
            return list(self._lines)


def _continues(line: FlownLine, pulse: Pulse) -> bool:
    """Whether a pulse is of this line: at its angle, and not after the axis has turned round for another attempt."""
    pause_s = pulse.time_s - line.end_s
    return abs(line.angle_deg - pulse.angle_deg) < SAME_ANGLE_DEG and pause_s < GATES_APART * pulse.exposure_s + TURNING_S


def make_frame_source(profile: Profile, *, out: Path | None = None) -> SampleFrames:
    """Make what the profile's detector sees of the profile's sample; ``out`` is the run folder, whose clock a cell follows.

    Raises
    ------
    ProfileError
        If the profile has no twin, or names a sample, a detector or a geometry that does not exist or does not fit.
    """
    source = SampleFrames(profile, out=out)
    logger.info("sample ready", sample=twin_of(profile).sample, seed=twin_of(profile).seed)
    return source


def make_sample(profile: Profile) -> Slice:
    """Make the slice that the profile's twin names: the same name and seed give the same slice.

    Raises
    ------
    ProfileError
        If there is none of that name that does not change with time.
    """
    twin = twin_of(profile)
    if twin.sample in PUBLISHED:
        published = importlib.import_module("acquisition.twin.published")
        made = published.make_published(twin.sample, seed=twin.seed, effects=twin.effects, winding=twin.winding)
        return cast("Slice", made)
    if twin.sample not in SAMPLES:
        raise ProfileError(f"twin.sample: found {twin.sample!r}, wanted one of {', '.join((*SAMPLES, *PUBLISHED, *WORKING))}")
    return SAMPLES[twin.sample](twin.sample, twin.seed)


def check_sample(profile: Profile) -> None:
    """Refuse a sample that cannot be made; makes none.

    Raises
    ------
    ProfileError
        If there is none of that name, its winding has no room or it has none, or its cell is not the one of ``cell.source``.
    """
    twin = twin_of(profile)
    if twin.sample not in (*SAMPLES, *PUBLISHED, *WORKING):
        raise ProfileError(f"twin.sample: found {twin.sample!r}, wanted one of {', '.join((*SAMPLES, *PUBLISHED, *WORKING))}")
    if twin.winding != Winding() and twin.sample in (*SAMPLES, *UNWOUND):
        raise ProfileError(
            f"twin.winding: sample {twin.sample!r} is no wound cell of a make: take the section away, or name another sample"
        )
    if twin.sample in PUBLISHED:
        importlib.import_module("acquisition.twin.published").sized(twin.winding)
    if twin.sample in WORKING:
        # Here: a sample that does not change must not need the solver of one that does.
        importlib.import_module("acquisition.twin.cell.sample").check_cell_sample(profile)


def describe_sample(profile: Profile) -> str:
    """Say what is simulated, and which effects it has; as :func:`check_sample` where it cannot be."""
    if profile.twin is None:
        return "nothing is simulated"
    check_sample(profile)
    given = profile.twin.effects.model_dump(exclude_defaults=True)
    effects = (name if value is True else f"{name} {value}" for name, value in given.items())
    size = profile.twin.winding.model_dump(exclude_none=True)
    winding = f"; winding {', '.join(f'{name} {value:g}' for name, value in size.items())}" if size else ""
    return f"simulated {profile.twin.sample}, seed {profile.twin.seed}{winding}; effects: {', '.join(effects) or 'none'}"


def make_history(profile: Profile, *, out: Path | None = None, begun_s: float | None = None) -> SampleHistory:
    """Make the sample that the profile's twin names, over time; one that works follows the clock of the run folder ``out``.

    Without one its replay begins at ``begun_s``, Unix epoch, or now.
    """
    check_sample(profile)
    if twin_of(profile).sample not in WORKING:
        served = None if out is None else open_served_cell(profile, out=out, now_s=time.time() if begun_s is None else begun_s)
        return Unchanging(sample=make_sample(profile), cell=None if served is None else served.at)
    working = importlib.import_module("acquisition.twin.cell.sample")
    return cast("SampleHistory", working.open_cell_sample(profile, out=out, now_s=begun_s))


def write_truth(profile: Profile, path: Path) -> None:
    """Write the truth of a sample that does not change; see ``docs/twin.md`` for the layout."""
    twin = twin_of(profile)
    truth = Truth(
        history=Unchanging(sample=make_sample(profile)),
        seed=twin.seed,
        wavelength_angstrom=make_camera(profile).wavelength_angstrom,
        follows_lithium=twin.effects.lattice,
    )
    write_truth_file(truth, path)
