"""The full profile beside GSAS-II on the same patterns.

``python -m benchmarks.against_gsas2 ours FOLDER`` writes two patterns as GSAS-II reads them and prints our lattices: a
simulated one (oxide, LiC12 and copper, Gaussian reflections drawn with error functions, Poisson, 1,000 counts in the highest
bin) and that of the real CeO2 frame, with the instrument's profile found from its rings. ``PYTHON benchmarks/against_gsas2.py
gsas2 FOLDER``, with a Python that has GSAS-II, refines them there: amounts, 10 and 14 Chebyshev functions, the cell, and widths
of the instrument; crystallites that broaden nothing. Nothing of GSAS-II is in this project.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIMULATED = ("nmc", "lic12", "cu")


def ours(folder: Path) -> None:
    """Write patterns and print what our refinement says."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SIMULATED:
        shutil.copy(ROOT / "profiles" / "demo" / "phases" / f"{name}.cif", folder)
    shutil.copy(ROOT / "profiles" / "ceo2" / "phases" / "ceo2.cif", folder)
    _simulated(folder)
    _real(folder)


def _simulated(folder: Path) -> None:
    import numpy as np

    sys.path.insert(0, str(ROOT))
    from streaming.refine.fit import refine
    from tests.streaming.refine import test_refine_patterns as drawn

    amounts = dict(zip(SIMULATED, (2.0, 1.0, 0.5), strict=True))
    pattern = drawn.mixed(a=2.8221, c=14.5013, amounts=amounts)
    counted, weights = drawn.counted(pattern, n=1, top=1000, seed=11)
    fit = refine(drawn.a_model(names=SIMULATED), counted, np.ones(1), weights)
    print("simulated, true: a 2.82210 c 14.50130")
    _say("simulated, ours", {axis: fit.parameter("nmc", axis) for axis in "ac"})
    to_counts = 1000 / pattern.max()
    width = drawn.WIDTH_DEG
    _write(folder / "simulated", drawn.GRID, counted[0] * to_counts, np.sqrt(np.maximum(pattern * to_counts, 1)), w=width**2)


def _real(folder: Path) -> None:
    import json

    import numpy as np

    from operando.profile import read_profile
    from operando.profile.settings import with_settings
    from streaming.calibrate import Tolerances, calibrate
    from streaming.calibrate.files import read_image
    from streaming.calibrate.instrument import instrument_profile
    from streaming.integrate.geometry import load_poni, make_geometry, read_mask
    from streaming.integrate.integrator import Integrator
    from streaming.refine.mean_pattern import refine_mean
    from streaming.refine.tables import Grid

    data = Path(os.environ.get("OPERANDO_DATA", ROOT.parent / "shared" / "data")) / "nDTomo"
    poni, image, mask = load_poni(data / "CeO2.poni"), read_image(data / "CeO2.cbf"), read_mask(data / "mask.edf")
    found = calibrate(image, poni, mask=mask, tolerances=Tolerances(distance=0.6, centre_px=500.0))
    instrument = {name: getattr(instrument_profile(image, found, mask=mask), name) for name in "uvwxy"}
    geometry = make_geometry(poni, mask | (image < 0), polarization=0.95)
    pattern = Integrator(geometry, q_min=1.6, q_max=7.6, n_radial=2500).integrate(np.maximum(image, 0).astype(np.uint32))
    grid = Grid(q_first_edge=1.6, q_step=6 / 2500, n_radial=2500, wavelength_angstrom=geometry.wavelength_angstrom)
    settings = ["q_min=1.6", "q_max=7.6", "n_radial=2500"]
    profile = with_settings(
        read_profile("ceo2"),
        [
            *(f"integration.{one}" for one in settings),
            "refinement.n_background=14",
            f"refinement.instrument={json.dumps(instrument)}",
        ],
    )
    mean, variance = pattern.mean.astype(np.float64), pattern.variance.astype(np.float64)
    fit = refine_mean(profile, grid=grid, pattern=mean, variance=variance)
    _say("CeO2, ours", {"a": fit.refined.parameter("ceo2", "a")})
    print(f"CeO2, ours: Rwp {100 * float(fit.refined.rwp[0]):.1f} %")
    _say_rings(fit, mean, variance)
    _write(folder / "ceo2", grid, mean, np.sqrt(variance), **instrument)


def _say_rings(fit: Any, pattern: Any, variance: Any) -> None:
    """Print what single rings say of ``a``: what they scatter by is what any weighting of them may be off."""
    from dataclasses import replace

    import numpy as np

    from streaming.refine.fit import refine
    from streaming.refine.mean_pattern import weights_from_variance
    from streaming.refine.model import make_model

    (phase,), weights = fit.phases, weights_from_variance(variance, pattern)
    model, places = make_model([replace(phase, free=("a",))], grid=fit.refined.model.grid, n_background=14), phase.crystal.q()
    q, found = model.grid.q, []
    for place in places:
        if min(place - q[0], q[-1] - place) < RING_HALF_Q or np.sort(np.abs(places - place))[1] < 2 * RING_HALF_Q:
            continue
        straight = replace(model, static=np.vstack([np.ones_like(q), q - place]))
        near = np.where(np.abs(q - place) < RING_HALF_Q, weights, 0.0)
        one = refine(straight, pattern[None].astype(np.float32), np.array([fit.noise]), near).parameter(phase.crystal.name, "a")
        found.append((place, one[0][0], one[1][0]))
    rings, lengths, sigma = np.array(found).T
    weight = 1 / sigma**2
    mean = weight @ lengths / weight.sum()
    scatter = np.sqrt(weight @ (lengths - mean) ** 2 / (rings.size - 1) / weight.sum())
    ends = f"innermost {lengths[0]:.5f}, outermost {lengths[-1]:.5f}"
    print(f"CeO2, {rings.size} single rings: a {mean:.5f} +- {scatter:.5f}; {ends}")


RING_HALF_Q = 0.045
"""1/angstrom, about a ring that is taken alone."""


def _say(what: str, values: dict[str, Any]) -> None:
    print(what, *(f"{axis} {float(value[0]):.5f} +- {float(sigma[0]):.5f}" for axis, (value, sigma) in values.items()))


def _write(path: Path, grid: Any, counts: Any, sigma: Any, **widths: float) -> None:
    """Write a pattern and its instrument; widths are those of ``refinement.instrument``, GSAS-II counts in 0.01 degrees."""
    import numpy as np

    two_theta = np.rad2deg(2 * np.arcsin(grid.q * grid.wavelength_angstrom / (4 * np.pi)))
    np.savetxt(path.with_suffix(".xye"), np.column_stack([two_theta, counts, sigma]), fmt="%.7f %.6f %.6f")
    squared = 1e4 / (8 * np.log(2))
    numbers = {name.upper(): squared * widths.get(name, 0.0) for name in "uvw"}
    numbers |= {"X": 100 * widths.get("y", 0.0), "Y": 100 * widths.get("x", 0.0), "Z": 0.0, "SH/L": 1e-4, "Zero": 0.0}
    rows = ["#GSAS-II instrument parameter file", "Type:PXC", "Bank:1.0", f"Lam:{grid.wavelength_angstrom:.8f}"]
    rows += ["Polariz.:0.5", "Azimuth:0.0", *(f"{name}:{value:.6f}" for name, value in numbers.items())]
    path.with_suffix(".instprm").write_text("\n".join(rows) + "\n", encoding="utf-8")


def gsas2(folder: Path) -> None:
    """Refine both patterns by GSAS-II."""
    from GSASII import GSASIIscriptable as scriptable  # type: ignore[import-not-found]  # noqa: N813

    os.chdir(folder)
    for name, phases, n_background, widths in (("simulated", SIMULATED, 10, "W"), ("ceo2", ("ceo2",), 14, "UVWXY")):
        project = scriptable.G2Project(newgpx=f"{name}.gpx")
        pattern = project.add_powder_histogram(f"{name}.xye", f"{name}.instprm", fmthint="xye")
        found = [project.add_phase(f"{one}.cif", phasename=one, histograms=[pattern], fmthint="CIF") for one in phases]
        for one in found:
            of_pattern = next(iter(one.data["Histograms"].values()))
            of_pattern["Size"][1][0], of_pattern["Mustrain"][1][0] = 1e4, 0.0
        project.data["Controls"]["data"]["max cyc"] = 25
        pattern.set_refinements({"Background": {"type": "chebyschev-1", "no. coeffs": n_background, "refine": True}})
        if len(phases) > 1:
            pattern.data["Sample Parameters"]["Scale"][1] = False
            for one in found:
                one.set_HAP_refinements({"Scale": True})
        project.do_refinements([{}])
        found[0].set_refinements({"Cell": True})
        project.do_refinements([{}])
        pattern.set_refinements({"Instrument Parameters": list(widths)})
        project.do_refinements([{}, {}])
        cell, sigma = found[0].get_cell_and_esd()
        print(
            name, *(f"{axis} {cell[f'length_{axis}']:.5f} +- {sigma[f'length_{axis}']:.5f}" for axis in "ac"), pattern.get_wR()
        )


if __name__ == "__main__":
    {"ours": ours, "gsas2": gsas2}[sys.argv[1]](Path(sys.argv[2]).resolve())
