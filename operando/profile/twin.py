"""The simulated beamline."""

from typing import Annotated, Literal

from pydantic import Field

from operando.profile.section import Finite, Fraction, Positive, Section, TcpAddress


class Effects(Section):
    """What the simulated experiment suffers from; everything is off or zero unless a profile says so. See ``docs/twin.md``."""

    lattice: bool = False
    """Lattice parameters follow the local lithium."""
    parallax: bool = False
    """A voxel downstream scatters from nearer to the detector."""
    absorption: Literal["none", "zero-order", "first-order"] = "none"
    """Attenuation along the straight ray, or along the way in and each scattered ray's own way out."""
    texture: bool = False
    """Graphite, foils and can prefer directions about the layers' normal."""
    beam_um: Annotated[float, Field(ge=0)] = 0.0
    """Full width at half maximum of the beam across the rotation axis, micrometre; 0 leaves the way of the axis alone."""
    beam_shape: Literal["gaussian", "flat"] = "gaussian"
    """Of the beam across the axis: as a focus, or with the sharp edges of slits."""
    beam_stop_mm: Annotated[float, Field(ge=0)] = 0.0
    """Radius of the beam stop's shadow on the detector; its arm is a quarter of that wide."""
    bad_pixels: Fraction = 0.0
    """Part of the pixels that is dead, or ten times fewer hot, without standing in the pixel mask."""
    grains: Annotated[int, Field(ge=0)] = 0
    """Large grains in the sample; each flashes as a spot at a few angles."""
    zingers: Annotated[float, Field(ge=0)] = 0.0
    """Mean number of pixels of a frame that a stray particle hits."""
    drift_mm: Annotated[float, Field(ge=0)] = 0.0
    """Amplitude of the beam's slow motion across the rotation axis."""
    drift_period_s: Positive = 600.0
    axis_offset_mm: Finite = 0.0
    """How far from ``scan.centre_mm`` the rotation axis really is."""
    wobble_mm: Annotated[float, Field(ge=0)] = 0.0
    """Run-out of the rotation: two and three waves a turn, which no displacement of the sample can have."""
    gate_delay_s: Finite = 0.0
    """How much later than the captured positions say the detector exposes."""
    axis_downstream_mm: Finite = 0.0
    """How much nearer to the detector the rotation axis is than the calibrant was."""
    energy_error: Annotated[float, Field(ge=-0.1, le=0.1)] = 0.0
    """True photon energy over that of the PONI file, minus 1."""
    saturation: bool = False
    """Pixels stop at the detector's largest count."""
    noise: bool = True
    """Counting statistics; without, every pixel holds its rounded mean."""
    air: bool = True
    """The air between collimator and beam stop scatters."""
    halo: bool = True
    """Separator, electrolyte and air scatter coherently, with their broad maxima."""
    compton: bool = True
    thermal_diffuse: bool = True
    """What the Debye-Waller factors take from the reflections is scattered between them."""
    ring_decay: bool = True
    """The ring's current decays and is topped up."""
    uneven: bool = True
    """Wound cells differ from place to place; off takes the three below with it."""
    lag: bool = True
    """Lithium lags near can, tab and core."""
    hot_spots: bool = True
    """Much of the cathode is the inactive, secondary oxide at some places."""
    loading_wave: bool = True
    """The coatings' density has a gentle wave around the roll."""
    dead_regions: bool = True
    """What an aged cell has lost is dead at some places; off: every place has lost the same part."""
    depth_gradient: bool = True
    """A working cell's lithium differs from separator to foil; off: each coating has its mean at every depth."""
    module_gaps: bool = True
    """Between the detector's modules nothing counts; off: pixels go on there."""
    masked_pixels: bool = True
    """Some pixels are dead or hot, and the detector's own mask knows them."""

    @property
    def reaches_into_depth(self) -> bool:
        """Whether it matters where along the beam something is."""
        return self.lattice or self.parallax or self.texture or self.absorption != "none" or self.axis_downstream_mm != 0


class Winding(Section):
    """Sizes of a wound cell beside those of its make; None leaves the make's. The electrodes' area stays, height follows."""

    can_mm: Positive | None = None
    """Outer diameter of the can."""
    wall_mm: Positive | None = None
    core_mm: Positive | None = None
    """Diameter of the empty core."""
    cu_um: Positive | None = None
    al_um: Positive | None = None
    separator_um: Positive | None = None


class Twin(Section):
    """The simulated beamline and sample, for profiles that have no real one."""

    sample: str
    """A sample that :mod:`acquisition.twin` can make."""
    seed: int = 1
    cable: TcpAddress = "tcp://127.0.0.1:24104"
    """Stands for the trigger cable from the trigger box to the detector."""
    counts_per_pixel: Positive = 4.0
    """Mean counts of an unmasked pixel in a frame through the middle of the cell."""
    time_scale: Positive = 1.0
    """How much faster than real the axes move and settle between lines."""
    prepared_frames: Annotated[int, Field(ge=0)] = 0
    """Serve so many frames, made beforehand, in turn: for rates that cannot be made; maps then mean nothing. 0 makes each."""
    winding: Winding = Winding()
    effects: Effects = Effects()
