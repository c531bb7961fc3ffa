"""The detector, its geometry and how frames become patterns."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from operando.profile.section import Finite, Fraction, Positive, Section


class FrameFolder(Section):
    """Detector files that another program writes."""

    template: str
    """Absolute path of the files, with ``{series}``, ``{image}`` (files of one image) or ``{file}`` (of several) for digits and
    ``*`` for any part of a name, for instance ``/data/raw/scan_{series}/pilatus_{image}.cbf``."""
    series: Annotated[int, Field(ge=0)] = 0
    """Series of files whose template does not tell."""
    first: Annotated[int, Field(ge=0)] = 0
    """Number of the first file: image ids count from it."""
    images_per_file: Annotated[int, Field(ge=1)] = 1
    """Of HDF5 files that are numbered."""
    dataset: str = ""
    """Where in an HDF5 file the images are; empty finds the one dataset of the detector's shape."""
    check_header: bool = True
    """Whether pixel size and wavelength in the files must agree with the geometry; not everybody fills them in."""


class Detector(Section):
    """The area detector and its stream."""

    model: str
    """A name that pyFAI knows, for instance ``Pilatus CdTe 2M``: gives gaps and pixel size."""
    n_rows: Annotated[int, Field(gt=0)]
    n_columns: Annotated[int, Field(gt=0)]
    pixel_m: Positive
    readout_s: Annotated[float, Field(ge=0)]
    """Dead time between two frames."""
    source: Literal["simplon", "folder"] = "simplon"
    """Where the frames come from: the detector's own stream, or files in a folder."""
    folder: FrameFolder | None = None
    rest: Annotated[str, Field(pattern=r"^(http://[^:/]+:\d+)?$")] = ""
    """Base URL of the SIMPLON REST interface."""
    stream: Annotated[str, Field(pattern=r"^(tcp://[^:]+:(\d+|\*))?$")] = ""
    stream_format: Literal["v2", "v1"] = "v2"
    saturation_counts: Annotated[int, Field(gt=0)] = 1_000_000

    @model_validator(mode="after")
    def _source_is_described(self) -> "Detector":
        if self.source == "folder" and self.folder is None:
            raise ValueError('source "folder" needs the section detector.folder with its template')
        if self.source == "simplon" and not (self.rest and self.stream):
            raise ValueError('source "simplon" needs rest and stream')
        return self


class Geometry(Section):
    """Where the detector is, as pyFAI writes it, and what else the integration must know."""

    poni: Path
    mask: Path | None = None
    """A mask file that fabio or NumPy reads, non-zero is masked; the detector's own gaps are always masked."""
    flat: Path | None = None
    """A flat field as NumPy saves it: the response of each pixel, near 1, that counts are divided by (``operando flat``)."""
    distance_tolerance_mm: Positive | None = None
    """How well the distance is known otherwise, by a ruler for instance: a calibration that moves it further is refused. Rings
    alone hardly tell a wrong distance from a wrong energy."""
    beam_tolerance_mm: Positive | None = None
    """How far the beam may lie from the geometry's place on the detector."""
    polarization: Annotated[float, Field(ge=-1, le=1)] = 0.95
    """Polarisation factor: 1 horizontal, -1 vertical, 0 none."""
    rotation_axis_deg: Annotated[float, Field(ge=-180, le=180)] = 90.0
    """Direction of the projected rotation axis on the detector, from where the column number grows to where the row number
    grows; eta counts from it."""
    sensor: str = ""
    """Formula of the sensor, for instance ``CdTe``: with its thickness, counts are divided by the part of the photons that it
    stops, which grows with obliquity; empty corrects nothing."""
    sensor_m: Positive | None = None
    """Thickness of the sensor."""
    sensor_g_cm3: Positive | None = None
    """Its density; None takes that of the tables."""

    @model_validator(mode="after")
    def _sensor_is_whole(self) -> "Geometry":
        if bool(self.sensor) != (self.sensor_m is not None):
            raise ValueError("sensor and sensor_m go together: give both or none")
        return self


class Integration(Section):
    """The radial grid and the estimator."""

    q_min: Annotated[float, Field(ge=0)]
    """1/angstrom."""
    q_max: Positive
    n_radial: Annotated[int, Field(ge=10, le=20_000)]
    estimator: Literal["mean", "trimmed", "rejected"] = "mean"
    """Which is analysed: the mean of all pixels, the trimmed mean, which is biased below a few counts a pixel, or the mean
    without what the others of a bin exclude, which is not. The mean is always kept, and of the two others the one that is
    analysed, or else the trimmed one."""
    trim: tuple[Fraction, Fraction] = (0.05, 0.95)
    sectors: Annotated[int, Field(ge=0, le=36)] = 0
    """Sectors of azimuth over half a turn whose patterns are kept, so that a window can be chosen after the scan; 0 keeps the
    full ring alone."""
    sector: tuple[Finite, Annotated[float, Field(gt=0, le=90)]] | None = None
    """Window of eta that is analysed: its centre and half width, degrees from the projected rotation axis, with the opposite
    of it; None is the full ring. Its edges must be edges of sectors."""

    @model_validator(mode="after")
    def _ranges_are_ascending(self) -> "Integration":
        if self.q_min >= self.q_max:
            raise ValueError(f"q_min {self.q_min} must be below q_max {self.q_max}")
        if self.trim[0] >= self.trim[1]:
            raise ValueError(f"trim {self.trim} must be ascending")
        if self.sectors * self.n_radial > 65_534:
            raise ValueError(f"sectors x n_radial is {self.sectors * self.n_radial}, at most 65534 bins can be numbered")
        return self
