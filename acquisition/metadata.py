"""What every run says of itself, so that its data can be understood without this program."""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from acquisition.plans.layout import Layout
from operando import __version__
from operando.errors import MissingInputError
from operando.profile import Profile

PACKAGES = ("bluesky", "ophyd", "numpy", "pyFAI")


def run_metadata(profile: Profile, layout: Layout) -> dict[str, Any]:
    """Give the metadata of a run: plain values, no secrets, everything by role.

    Raises
    ------
    MissingInputError
        If the geometry file is absent.
    """
    scan, control, flight = profile.scan, profile.control, layout.flight
    return {
        "plan_name": "xrdct",
        "profile": profile.name,
        "sample": profile.description,
        "cell": cell_metadata(profile),
        "geometry_sha256": geometry_sha256(profile),
        "axes": {"fast": control.fast.pv, "rotation": control.rotation.pv},
        "scan": {
            "n_lines": scan.n_lines,
            "n_points": scan.n_points,
            "step_mm": scan.step_mm,
            "centre_mm": scan.centre_mm,
            "order": scan.order,
            "angle_range_deg": scan.angle_range_deg,
        },
        "exposure_s": flight.exposure_s,
        "readout_s": profile.detector.readout_s,
        "speed_mm_s": flight.speed_mm_s,
        "direction_rule": "even lines towards positive readbacks, odd lines back",
        "detector": profile.detector.model,
        "versions": {"operando": __version__, **{name: package_version(name) for name in PACKAGES}},
    }


def cell_metadata(profile: Profile) -> dict[str, Any]:
    """Say which cell it is, and how its state is read."""
    cell = profile.cell
    return {
        "name": cell.name,
        "chemistry": cell.chemistry,
        "source": cell.source,
        "clock_offset_s": cell.clock_offset_s,
        "capacity_ah": cell.nominal_ah,
    }


def geometry_sha256(profile: Profile) -> str:
    """Give the hash of a profile's geometry file.

    Raises
    ------
    MissingInputError
        If it is absent.
    """
    path = profile.path(profile.geometry.poni)
    if not path.is_file():
        raise MissingInputError(f"no geometry file {path}: correct geometry.poni in the profile")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def package_version(package: str) -> str:
    """Give the version of an installed package, or say that it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
