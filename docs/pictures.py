"""Make the pictures of the README and of the tour, small enough to live in the repository: ``make pictures``.

Give the folder of a demo that has ended; it was drawn without a screen, so that its window is in it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import imagecodecs
import numpy as np
import structlog
from PIL import Image

from operando.cli.growth import growth_of
from viewer.movie import frames
from viewer.sample import write_sample

logger = structlog.get_logger(__name__)

OUT = Path(__file__).parent / "pictures"
MOST_BYTES = 200_000
"""A picture is smaller: tests/operando/test_documents.py asks for it."""
COLOUR_STEPS = (1, 3, 5, 15)
"""Divisors of 255, so that white, black and pure colours stay: 3 is off by one in 255 at most, 15 by seven."""
FILM_WIDTH = 560
CHARGES = np.linspace(0.04, 0.96, 20)
CYCLE = [0.1, 0.3, 0.5, 0.7, 0.9, 0.86, 0.64, 0.44, 0.24]
"""Charges of a phantom's scans; from the sixth on it discharges."""


def main(demo: Path) -> None:
    """Make all pictures from a demo's folder."""
    OUT.mkdir(exist_ok=True)
    keep(Image.open(demo / "monitor.png"), OUT / "window.png")
    with tempfile.TemporaryDirectory() as folder:
        maps = Path(folder) / "maps.png"
        names = ["x_lithium", "wt_lic6", "wt_lic12", "wt_graphite", "wt_nmc", "wt_cu"]
        operando("figure", demo / "scan.nxs", *[word for name in names for word in ("--map", name)], "-o", maps)
        keep(Image.open(maps), OUT / "maps.png")
        scans = [Path(folder) / f"{k:02d}.nxs" for k in range(len(CHARGES))]
        for scan, charge in zip(scans, CHARGES, strict=True):
            write_sample(scan, charge=float(charge))
        operando("figure", *scans, "-o", Path(folder) / "charge.png")
        keep(Image.open(Path(folder) / "charge.png"), OUT / "charge.png")
        keep_windows(demo, Path(folder))
    keep_film(demo / "scan.nxs", OUT / "growing.gif")


def keep_windows(demo: Path, folder: Path) -> None:
    """Draw two windows: a cell's charge beside another's, and two phases in one picture."""
    runs = {"pristine": folder / "pristine", "aged": folder / "aged"}
    for name, run in runs.items():
        run.mkdir()
        for k, charge in enumerate(CYCLE):
            # The aged cell is the same phantom that reaches less.
            reached = charge if name == "pristine" else 0.75 * charge
            path = run / f"scan-{k}.nxs"
            write_sample(
                path, charge=reached, start_s=1.767e9 + 600 * k, run=f"{name}-{k}", is_charging=k < len(CYCLE) // 2 + 1
            )
    shots = {
        "beside.png": (runs["pristine"], runs["aged"]),
        "mix.png": (demo / "scan.nxs", "--map", "wt_lic6", "--map", "wt_lic12", "--mix"),
    }
    for name, words in shots.items():
        operando("view", *words, "--headless", "--snapshot", folder / name)
        keep(Image.open(folder / name), OUT / name)


def operando(*words: object) -> None:
    """Type a command."""
    subprocess.run([sys.executable, "-m", "operando", *map(str, words)], check=True)  # noqa: S603 - our own command


def keep(picture: Image.Image, path: Path) -> None:
    """Write a picture in its own colours; in colours rounded by no more than the eye sees where it would be too large."""
    colours = np.array(picture.convert("RGB"))
    for step in COLOUR_STEPS:
        rounded = (np.round(colours / step) * step).astype(np.uint8)
        # Drawn areas are even: unfiltered rows repeat, and take three quarters of what the usual filters leave.
        content = imagecodecs.png_encode(rounded, level=9, filter=imagecodecs.PNG.FILTER.NONE)
        if len(content) < MOST_BYTES:
            path.write_bytes(content)
            logger.info("picture kept", path=path.name, n_bytes=len(content), colour_step=step)
            return
    raise ValueError(f"{path} has {len(content)} bytes, less than {MOST_BYTES} are wanted: draw less in it")


def keep_film(archive: Path, path: Path) -> None:
    """Write the growing maps as a small film that a web page plays; every fourth line is enough for it."""
    growth = growth_of(archive)
    drawn = [frame for k, frame in enumerate(frames(growth.steps, readings=growth.readings)) if k % 4 == 3 or k == 1]
    height = round(FILM_WIDTH * drawn[0].shape[0] / drawn[0].shape[1])
    small = [Image.fromarray(frame).resize((FILM_WIDTH, height), Image.Resampling.LANCZOS) for frame in drawn]
    palette = small[-1].quantize(80, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    pages = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in small]
    pages[0].save(
        path, save_all=True, append_images=pages[1:], duration=[300] * (len(pages) - 1) + [2500], loop=0, optimize=True
    )
    logger.info("film kept", path=path.name, n_bytes=path.stat().st_size, n_pages=len(pages))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
