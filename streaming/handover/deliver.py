"""Deliver voxels in the layout of one program: wires selection, patterns and writers."""

from pathlib import Path
from typing import Literal

from operando.profile import Profile
from streaming.channels import wavelength_of
from streaming.handover.gsas2 import instrument_parameters
from streaming.handover.ndtomo import write_ndtomo
from streaming.handover.patterns import Selection, hand_over
from streaming.handover.topas import topas_input
from streaming.handover.xye import Unit, voxel_stem, write_index, write_xye

Layout = Literal["xye", "gsas2", "topas", "ndtomo"]


def deliver(archive: Path, profile: Profile, voxels: Selection, out: Path, *, layout: Layout, unit: Unit = "2theta") -> int:
    """Write the patterns of voxels and what the program needs beside them; give the number of files.

    Parameters
    ----------
    archive
        ``scan.nxs`` with its lines beside it.
    profile
        What it was analysed with.
    voxels
        Which.
    out
        A folder; for ``ndtomo`` a file.
    layout
        Whose files.
    unit
        First column of ``xye``; GSAS-II and TOPAS get two theta.
    """
    parts = hand_over(archive, profile, voxels)
    if layout == "ndtomo":
        write_ndtomo(out, voxels, parts)
        return 1
    n_files = 1
    for part in parts:
        n_files += len(
            write_xye(out, part, unit=unit if layout == "xye" else "2theta", comment="'" if layout == "topas" else "#")
        )
    write_index(out / "index.csv", voxels)
    wavelength_angstrom = wavelength_of(profile)
    if layout == "gsas2":
        narrowest = min(phase.fwhm_deg for phase in profile.phases)
        text = instrument_parameters(wavelength_angstrom=wavelength_angstrom, fwhm_deg=narrowest)
        (out / "operando.instprm").write_text(text, encoding="ascii")
    if layout == "topas":
        names = [f"{voxel_stem(int(row), int(column))}.xye" for row, column in zip(voxels.row, voxels.column, strict=True)]
        text = topas_input(profile, names, wavelength_angstrom=wavelength_angstrom)
        (out / "operando.inp").write_text(text, encoding="utf-8")
    return n_files + (layout in ("gsas2", "topas"))
