"""Which parameters the detector and its stream have, and how they hang together."""

from pydantic import JsonValue

from acquisition.twin.simplon.parameters import Parameter, ParameterTable, ValueType
from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.stream_v2 import GONIOMETER_AXES

EV_ANGSTROM = 12398.419843320026
"""Photon energy times wavelength, eV angstrom: h c / e, exact since the SI of 2019."""

MIN_COUNT_TIME_S = 1e-5
MAX_IMAGES = 2_000_000_000
TRIGGER_MODES = ("ints", "exte")
"""``ints``: each trigger command starts ``nimages`` images on the detector's own clock. ``exte``: each gate pulse makes one."""


def detector_table(head: DetectorHead, *, wavelength_angstrom: float = 1.0) -> ParameterTable:
    """Give the detector's parameters at their defaults."""
    return ParameterTable(
        _fixed(head) | _timing(head) | _beam(head, wavelength_angstrom) | _goniometer(),
        lambda values, name: _coupled(values, name, readout_s=head.readout_s),
    )


def stream_table(*, stream_format: str = "cbor", header_detail: str = "all") -> ParameterTable:
    """Give the stream's parameters; unlike a real detector's, the stream is enabled from the start and says all it knows."""
    return ParameterTable(
        {
            "mode": Parameter(default="enabled", value_type="string", allowed=("enabled", "disabled")),
            "format": Parameter(default=stream_format, value_type="string", allowed=("cbor", "legacy")),
            "header_detail": Parameter(default=header_detail, value_type="string", allowed=("all", "basic", "none")),
            "header_appendix": Parameter(default=None, value_type="any"),
            "image_appendix": Parameter(default=None, value_type="any"),
        }
    )


def _read(value: JsonValue, value_type: ValueType, unit: str = "") -> Parameter:
    return Parameter(default=value, value_type=value_type, access_mode="r", unit=unit)


def _fixed(head: DetectorHead) -> dict[str, Parameter]:
    rows, columns = head.shape
    return {
        "description": _read(head.description, "string"),
        "detector_number": _read(head.serial_number, "string"),
        "detector_readout_time": _read(head.readout_s, "float", "s"),
        "bit_depth_image": _read(32, "uint"),
        "bit_depth_readout": _read(20, "uint"),
        "countrate_correction_applied": _read(False, "bool"),
        "countrate_correction_count_cutoff": _read(head.saturation_counts, "uint"),
        "flatfield_correction_applied": _read(False, "bool"),
        "number_of_excluded_pixels": _read(int((head.pixel_mask != 0).sum()), "uint"),
        "pixel_mask_applied": _read(True, "bool"),
        "virtual_pixel_correction_applied": _read(False, "bool"),
        "sensor_material": _read(head.sensor_material, "string"),
        "sensor_thickness": _read(head.sensor_thickness_m, "float", "m"),
        "x_pixel_size": _read(head.pixel_m, "float", "m"),
        "y_pixel_size": _read(head.pixel_m, "float", "m"),
        "x_pixels_in_detector": _read(columns, "uint"),
        "y_pixels_in_detector": _read(rows, "uint"),
    }


def _timing(head: DetectorHead) -> dict[str, Parameter]:
    return {
        "count_time": Parameter(default=0.01, value_type="float", unit="s", low=MIN_COUNT_TIME_S, high=3600.0),
        "frame_time": Parameter(
            default=0.01 + head.readout_s, value_type="float", unit="s", low=MIN_COUNT_TIME_S + head.readout_s, high=3600.0
        ),
        "nimages": Parameter(default=1, value_type="uint", low=1, high=MAX_IMAGES),
        "ntrigger": Parameter(default=1, value_type="uint", low=1, high=MAX_IMAGES),
        "trigger_mode": Parameter(default="ints", value_type="string", allowed=TRIGGER_MODES),
        "compression": Parameter(default="bslz4", value_type="string", allowed=("bslz4", "lz4", "none")),
    }


def _beam(head: DetectorHead, wavelength_angstrom: float) -> dict[str, Parameter]:
    rows, columns = head.shape
    energy_ev = EV_ANGSTROM / wavelength_angstrom
    return {
        "beam_center_x": Parameter(default=columns / 2, value_type="float", unit="pixel"),
        "beam_center_y": Parameter(default=rows / 2, value_type="float", unit="pixel"),
        "detector_distance": Parameter(default=1.0, value_type="float", unit="m", low=0.0),
        "photon_energy": Parameter(default=energy_ev, value_type="float", unit="eV", low=1e3, high=1e6),
        "threshold_energy": Parameter(default=energy_ev / 2, value_type="float", unit="eV", low=500.0, high=5e5),
        "wavelength": Parameter(
            default=wavelength_angstrom, value_type="float", unit="angstrom", low=EV_ANGSTROM / 1e6, high=EV_ANGSTROM / 1e3
        ),
    }


def _goniometer() -> dict[str, Parameter]:
    names = [f"{axis}_{what}" for axis in GONIOMETER_AXES for what in ("start", "increment")]
    return {name: Parameter(default=0.0, value_type="float", unit="deg") for name in names}


def _coupled(values: dict[str, JsonValue], name: str, *, readout_s: float) -> dict[str, JsonValue]:
    """Give what follows from a put: energy and wavelength are one quantity, and a frame must hold its exposure and readout."""
    if name == "photon_energy":
        energy_ev = _number(values, name)
        return {"wavelength": EV_ANGSTROM / energy_ev, "threshold_energy": energy_ev / 2}
    if name == "wavelength":
        energy_ev = EV_ANGSTROM / _number(values, name)
        return {"photon_energy": energy_ev, "threshold_energy": energy_ev / 2}
    shortest_s = _number(values, "count_time") + readout_s
    if name == "count_time" and _number(values, "frame_time") < shortest_s:
        return {"frame_time": shortest_s}
    if name == "frame_time" and _number(values, name) < shortest_s - 1e-9:
        raise ValueError(
            f"frame_time is {values[name]} s: it must hold count_time {values['count_time']} s and readout {readout_s} s, "
            f"{shortest_s:.6g} s at least; lower count_time first"
        )
    return {}


def _number(values: dict[str, JsonValue], name: str) -> float:
    value = values[name]
    if not isinstance(value, int | float):
        raise ValueError(f"{name} is {value!r}: it must be a number")
    return float(value)
