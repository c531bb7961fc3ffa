"""``operando mask`` and ``operando flat``: which pixels not to trust, and how unevenly the others count."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from operando.errors import OutputError
from operando.profile import Profile, read_profile

_Frames = Annotated[list[Path], typer.Argument(help="Frames of a powder, a glass or air: CBF, EDF, TIFF or HDF5.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(mask)
    app.command()(flat)


def mask(
    profile: Annotated[str, typer.Argument(help="A profile; its gaps and its mask are kept.")],
    frames: _Frames,
    out: Annotated[Path, typer.Option(help="The .npy to write; the profile reads it as geometry.mask.")],
) -> None:
    """Find dead, hot and shadowed pixels in FRAMES of something that is the same all round the beam."""
    from streaming.calibrate.pixels import find_mask, sum_frames
    from streaming.integrate.geometry import read_geometry

    _refuse_to_overwrite(out)
    read = read_profile(profile)
    geometry = read_geometry(read)
    found = find_mask(sum_frames(_images(frames), geometry.shape), _radius_px(read), geometry.mask)
    _save(out, found.mask.astype(np.uint8))
    for cause, count in found.counts.items():
        typer.echo(f"{count:9d} {cause}")
    typer.echo(f"{found.mask.sum():9d} of {found.mask.size} masked in {out}")
    if len(frames) < 3:
        typer.echo("of so few frames a spot of a crystal may pass for a hot pixel: look, or give more", err=True)


def flat(
    profile: Annotated[str, typer.Argument(help="A profile with its mask.")],
    frames: _Frames,
    out: Annotated[Path, typer.Option(help="The .npy to write; the profile reads it as geometry.flat.")],
) -> None:
    """Find how unevenly pixels count in FRAMES without sharp rings: fluorescence, a glass, or air."""
    from streaming.calibrate.pixels import find_flat, sum_frames
    from streaming.integrate.geometry import read_geometry

    _refuse_to_overwrite(out)
    read = read_profile(profile)
    bare = read.model_copy(update={"geometry": read.geometry.model_copy(update={"flat": None})})
    geometry = read_geometry(bare)
    total = sum_frames(_images(frames), geometry.shape)
    found = find_flat(total, _radius_px(read), geometry.mask, geometry.correction.astype(np.float64))
    _save(out, found.flat)
    typer.echo(
        f"{total.n_frames} frames: responses differ by {100 * found.scatter:.2f} %, each known to {100 * found.sigma:.2f} %"
    )
    typer.echo(f"flat field written to {out}")


def _images(paths: list[Path]) -> Iterator[Any]:
    from streaming.calibrate.files import read_image

    return (read_image(path) for path in paths)


def _radius_px(profile: Profile) -> Any:
    """Give each pixel's distance from the beam, as a detector without tilt would see it, pixels."""
    from streaming.integrate.geometry import load_poni

    poni = load_poni(profile.path(profile.geometry.poni))
    shape = (profile.detector.n_rows, profile.detector.n_columns)
    angle = np.asarray(poni.center_array(shape, unit="2th_rad", scale=False))
    return poni.dist * np.tan(np.minimum(angle, 1.5)) / poni.pixel1


def _save(path: Path, values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("wb") as file:
        np.save(file, values)
    partial.replace(path)


def _refuse_to_overwrite(out: Path) -> None:
    if out.exists() or out.suffix != ".npy":
        raise OutputError(f"{out}: wanted a new file that ends in .npy; nothing is ever overwritten")
