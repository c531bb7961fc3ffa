"""Patterns as ``.xye``: three columns of text, two theta or q, intensity, sigma. Nearly every program of the field reads it."""

from pathlib import Path
from typing import Literal

from streaming.handover.patterns import HandedOver, Selection
from streaming.line_file import replace_file

Unit = Literal["2theta", "q"]
_NAMES = {"2theta": "two theta, deg", "q": "q, 1/angstrom"}


def voxel_stem(row: int, column: int) -> str:
    """Give the name of a voxel's file without its ending: row upwards, column to the right, both from 0."""
    return f"voxel-y{row:04d}-x{column:04d}"


def write_xye(folder: Path, part: HandedOver, *, unit: Unit = "2theta", comment: str = "#") -> list[Path]:
    """Write one file for each voxel.

    Parameters
    ----------
    folder
        Where; made if it is not there.
    part
        The patterns.
    unit
        The first column.
    comment
        What the head's lines begin with; TOPAS wants an apostrophe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = part.two_theta_deg if unit == "2theta" else part.q
    written = []
    for voxel in range(part.voxels.size):
        row, column = int(part.voxels.row[voxel]), int(part.voxels.column[voxel])
        head = [
            f"x {part.voxels.x_mm[voxel]:.6g} mm, y {part.voxels.y_mm[voxel]:.6g} mm from the rotation axis",
            f"wavelength {part.wavelength_angstrom:.8g} angstrom; corrected for solid angle and polarisation",
            f"{_NAMES[unit]}; intensity, photons per pixel and mm; its standard uncertainty",
        ]
        table = zip(first.tolist(), part.intensity[voxel].tolist(), part.sigma[voxel].tolist(), strict=True)
        text = "".join(f"{comment} {words}\n" for words in head) + "".join(f"{x:.7f} {y:.7e} {e:.4e}\n" for x, y, e in table)
        path = folder / f"{voxel_stem(row, column)}.xye"
        path.write_text(text, encoding="ascii")
        written.append(path)
    return written


def write_index(path: Path, voxels: Selection) -> None:
    """Write which file is which voxel, as CSV."""
    columns = (voxels.row.tolist(), voxels.column.tolist(), voxels.x_mm.tolist(), voxels.y_mm.tolist())
    rows = [f"{voxel_stem(row, column)}.xye,{row},{column},{x:.6g},{y:.6g}" for row, column, x, y in zip(*columns, strict=True)]
    replace_file(path, "\n".join(["file,row,column,x_mm,y_mm", *rows, ""]).encode())
