"""The figures of ``docs/validation.md`` that stand on real data, by one command: ``python -m benchmarks.validation``.

Each check gives rows: what, the least that must be reached, the target, what was measured. With ``--write`` the table of the
document is replaced between its marks. A check whose data are absent leaves its row open; ``OPERANDO_DATA`` names the data.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks import simulated_rows

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "validation.md"
BEGIN, END = "<!-- by python -m benchmarks.validation -->", "<!-- end -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; smaller is better."""

    what: str
    must: float
    target: float
    measured: float | None
    unit: str
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say in a word whether it is reached."""
        if self.measured is None:
            return "not run"
        if not self.measured <= self.must:
            return "**not reached**"
        return "target" if self.measured <= self.target else "pass"


def data_folder() -> Path:
    """Give the folder of real measurements."""
    return Path(os.environ.get("OPERANDO_DATA", ROOT.parent / "shared" / "data"))


def calibration() -> list[Row]:
    """Calibrate on the real CeO2 frame, from a nominal geometry 11 mm and some 50 pixels off."""
    from operando.errors import CalibrationError
    from streaming.calibrate import Tolerances, calibrate
    from streaming.calibrate.files import read_image
    from streaming.integrate.geometry import load_poni, read_mask

    folder = data_folder() / "nDTomo"
    true = load_poni(folder / "CeO2.poni")
    image, mask = read_image(folder / "CeO2.cbf"), read_mask(folder / "mask.edf")
    nominal = true.__copy__()
    nominal.set_param([0.555, 0.150, 0.120, 0.0, 0.0, 0.0])

    def run(frame: Any = image, **options: Any) -> Any:
        limits = Tolerances(distance=0.6, centre_px=500.0)
        return calibrate(frame, nominal, mask=mask, tolerances=limits, is_automatic=True, **options)

    found = run()
    wrong: dict[str, dict[str, Any]] = {
        "image flipped upside down": {"frame": np.flipud(image)},
        "image flipped left to right": {"frame": np.fliplr(image)},
        "LaB6 for CeO2": {"calibrant": "LaB6"},
        "Si for CeO2": {"calibrant": "Si"},
        "energy 1 % high": {"energy_kev": 71.71},
        "energy 1 % low": {"energy_kev": 70.29},
    }
    passed = []
    for name, options in wrong.items():
        try:
            run(**options)
        except CalibrationError:
            continue
        passed.append(name)
    energy = found.energy
    said = f"by itself from 11 mm and 55 px off; {sum(ring.role == 'predicted' for ring in found.rings)} rings predicted"
    what_of_energy = (
        f"{energy.energy_kev:.2f} +- {energy.sigma_kev:.2f} keV, correlation with distance {energy.correlation:+.5f}"
    )
    return [
        Row(
            what="CeO2 frame: rings predicted from five, RMS",
            must=0.1,
            target=0.05,
            measured=found.predicted_px,
            unit="px",
            note=said,
        ),
        Row(
            what="CeO2 frame: energy from the rings' curvature, error",
            must=1.0,
            target=0.3,
            measured=100 * abs(energy.energy_kev / 71.0 - 1),
            unit="%",
            note=what_of_energy,
        ),
        Row(
            what="CeO2 frame: wrong images, calibrants and energies that pass",
            must=0,
            target=0,
            measured=len(passed),
            unit=f"of {len(wrong)}",
            note=", ".join(passed) or "all refused with the reason: " + ", ".join(wrong),
        ),
    ]


def spots() -> list[Row]:
    """Integrate the real spotty and powder pair with the rejection of spots."""
    from streaming.integrate.geometry import load_poni, make_geometry
    from streaming.integrate.integrator import Integrator

    folder = data_folder() / "nDTomo"
    with h5py.File(folder / "Spotty_small.h5") as file:
        powder, spotty = file["powder"][()], file["spotty"][()]
    geometry = make_geometry(load_poni(folder / "Spotty_calib.poni"), (powder == 0) | (spotty == 0), polarization=0.95)
    settings: dict[str, Any] = {"q_min": 1.5, "q_max": 4.4, "n_radial": 1000}
    rejecting, trimming = Integrator(geometry, **settings, rejects=True), Integrator(geometry, **settings)
    truth = trimming.integrate(powder).mean

    def deviation(values: Any) -> float:
        return 100 * float(np.sqrt(np.nanmean((values / truth - 1) ** 2)))

    trimmed = trimming.integrate(spotty)
    note = f"mean {deviation(trimmed.mean):.2f} %, trim (5, 95) {deviation(trimmed.trimmed):.2f} %"
    with_spots, clean = deviation(rejecting.integrate(spotty).trimmed), deviation(rejecting.integrate(powder).trimmed)
    return [
        Row(what="spotty pair: rejection, RMS from the powder", must=6.5, target=6.0, measured=with_spots, unit="%", note=note),
        Row(what="spotty pair: bias on the clean powder", must=0.6, target=0.3, measured=clean, unit="%"),
    ]


def centres() -> list[Row]:
    """Find the rotation centre of the real pencil-beam sinogram by three estimators."""
    from streaming.centre import compare_centres

    with h5py.File(data_folder() / "Savu" / "mm.nxs") as file:
        transmission = file["entry1/stxm_entry/data/data"][:, 3].astype(np.float64)
        angles_deg = file["entry1/stxm_entry/data/theta"][()].astype(np.float64)
    absorbance = -np.log(transmission / transmission.max())
    air = np.minimum(absorbance[:, :3].mean(axis=1), absorbance[:, -3:].mean(axis=1))
    found = compare_centres(np.maximum(absorbance - air[:, None], 0), angles_deg)
    places = {name: centre.index for name, centre in found.items()}
    note = ", ".join(f"{name} {place:.2f}" for name, place in places.items())
    spread = max(places.values()) - min(places.values())
    return [
        Row(what="pencil-beam sinogram: three centres apart", must=0.5, target=0.3, measured=spread, unit="points", note=note)
    ]


def published_maps() -> list[Row]:
    """Find the peak positions of nDTomo's phantom from 60 projections, made of its truth maps as its tutorial makes them."""
    from benchmarks.few_angles import PRIOR, direct, fitted, iterated, read_phantom

    phantom = read_phantom(data_folder() / "nDTomo" / "dlsr_results.h5")
    peers = ", ".join(f"{name} {phantom.rms(position):.3f}" for name, position in phantom.published.items())
    by_voxel = fitted(iterated(phantom))
    together, misfit = direct(phantom, by_voxel, prior=PRIOR)
    what = "nDTomo's maps with truth: peak position, RMS, "
    note = f"published: {peers}; our noise, not theirs: no sinogram is published"
    return [
        Row(
            what=f"{what}iterations with positivity and a fit in each voxel",
            must=0.18,
            target=0.074,
            measured=phantom.rms(by_voxel[1]),
            unit="",
            note=note,
        ),
        Row(
            what=f"{what}all voxels at once against the sinogram, neighbours alike",
            must=0.18,
            target=0.074,
            measured=phantom.rms(together[1]),
            unit="",
            note=f"chi squared {misfit:.2f}; the phantom is piecewise even, which is what this prior hopes for",
        ),
    ]


CHECKS: tuple[Callable[[], list[Row]], ...] = (calibration, spots, centres, published_maps)


def table(rows: Sequence[Row]) -> str:
    """Give the rows as a table in Markdown."""
    lines = ["| what | must | target | measured | | how |", "|---|---|---|---|---|---|"]
    for row in rows:
        measured = "-" if row.measured is None else f"{row.measured:.3g}"
        lines.append(f"| {row.what} | {row.must:g} | {row.target:g} {row.unit} | {measured} | {row.verdict} | {row.note} |")
    return "\n".join(lines)


def replaced(document: str, rows: Sequence[Row]) -> str:
    """Give the document with a new table between its marks.

    Raises
    ------
    ValueError
        If it lacks the marks.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document lacks the marks {BEGIN} and {END}")
    return with_simulated(f"{before}{BEGIN}\n\n{table(rows)}\n\n{END}{after}")


def with_simulated(document: str) -> str:
    """Give the document with a new table of the simulated cells, from the figures that are kept."""
    before, begin, rest = document.partition(simulated_rows.BEGIN)
    _, end, after = rest.partition(simulated_rows.END)
    if not begin or not end:
        raise ValueError(f"the document lacks the marks {simulated_rows.BEGIN} and {simulated_rows.END}")
    return f"{before}{begin}\n\n{simulated_rows.table()}\n\n{end}{after}"


def run() -> list[Row]:
    """Run every check; one whose data are absent gives a row that says so."""
    rows = []
    for check in CHECKS:
        print(f"checking {check.__name__}", file=sys.stderr)
        try:
            rows += check()
        except FileNotFoundError as absent:
            rows.append(Row(what=check.__name__, must=0, target=0, measured=None, unit="", note=f"no data: {absent.filename}"))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the checks, print the table, and write it into the document if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="replace the tables of docs/validation.md")
    parser.add_argument("--simulated", action="store_true", help="only the table of simulated cells, from their kept figures")
    asked = parser.parse_args(arguments)
    if asked.simulated:
        print(simulated_rows.table())
        if asked.write:
            DOCUMENT.write_text(with_simulated(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
        return
    rows = run()
    print(table(rows))
    if asked.write:
        DOCUMENT.write_text(replaced(DOCUMENT.read_text(encoding="utf-8"), rows), encoding="utf-8")


if __name__ == "__main__":
    main()
