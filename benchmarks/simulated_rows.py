"""The rows of ``docs/validation.md`` on simulated cells, from ``docs/validation-twin.json`` (``benchmarks.science``)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).resolve().parents[1] / "docs" / "validation-twin.json"
BEGIN, END = "<!-- by python -m benchmarks.science -->", "<!-- end of the twin's -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of one figure."""

    what: str
    key: str
    """Cell or cells, and window, of ``docs/validation-twin.json``."""
    of: Callable[[dict[str, Any]], float]
    must: float
    target: float
    unit: str
    is_larger_better: bool = False

    def row(self, figures: dict[str, Any]) -> str:
        """Give the row in Markdown."""
        limits = f"{self.must:g} | {self.target:g} {self.unit}"
        try:
            value = self.of(figures[self.key])
        except (KeyError, TypeError, ZeroDivisionError):
            return f"| {self.what} | {limits} | - | not run | {self.key} |"
        way = -1.0 if self.is_larger_better else 1.0
        verdict = "**not reached**"
        if way * value <= way * self.must:
            verdict = "target" if way * value <= way * self.target else "pass"
        commit, angles = figures[self.key].get("commit", ""), figures[self.key].get("angles", 400)
        fewer = "" if angles >= 400 else f", {angles} angles"
        return f"| {self.what} | {limits} | {value:.3g} | {verdict} | {self.key} at {commit}{fewer} |"


def _lattice(name: str, key: str) -> Callable[[dict[str, Any]], float]:
    return lambda one: abs(one["lattice"][name][key])


def _ratio_off(one: dict[str, Any]) -> float:
    parts = one["shares"]["parts"]
    found, true = (parts["lic6"][key] / parts["lic12"][key] for key in ("found", "true"))
    return abs(100 * (found / true - 1))


def _worst_part(one: dict[str, Any]) -> float:
    return max(abs(part["found"] - part["true"]) for part in one["shares"]["parts"].values())


def _x_off(one: dict[str, Any]) -> float:
    return abs(one["x"]["refined_x_lithium"]["bias"])


WINDOWS = {"aaa-discharged-c20": "aaa-discharged-c20/axis-30-half"}
"""Under what name the figures of cells are that were not analysed with all angles."""


def asked() -> Iterator[Asked]:
    """Give all rows in their order."""
    for cell in ("aaa-charged-c2", "aaa-charged-c20", "aaa-discharged-c2", "aaa-discharged-c20", "aaa-pristine"):
        key = WINDOWS.get(cell, f"{cell}/axis-30")
        yield Asked(what=f"{cell}: c, bias", key=key, of=_lattice("c_nmc", "bias_ma"), must=5, target=3, unit="mA")
        yield Asked(what=f"{cell}: c, scatter", key=key, of=_lattice("c_nmc", "scatter_ma"), must=5, target=3, unit="mA")
        yield Asked(what=f"{cell}: a, bias", key=key, of=_lattice("a_nmc", "bias_ma"), must=1.5, target=1, unit="mA")
        yield Asked(
            what=f"{cell}: scatter of c over its predicted noise",
            key=key,
            of=lambda one: one["lattice"]["c_nmc"]["scatter_ma"] / one["lattice"]["c_nmc"]["sigma_ma"],
            must=1.3,
            target=1.1,
            unit="",
        )
        yield Asked(
            what=f"{cell}: c, 68 % intervals about the mean hold 68 % within",
            key=key,
            of=lambda one: 100 * abs(one["lattice"]["c_nmc"]["coverage_68_about_mean"] - 0.68),
            must=12.5,
            target=4,
            unit="points",
        )
        yield Asked(what=f"{cell}: x in LixC6, mean off", key=key, of=_x_off, must=0.02, target=0.01, unit="")
    for cell in ("aaa-charged-c2", "aaa-charged-c20"):
        key = f"{cell}/axis-30"
        yield Asked(what=f"{cell}: LiC6 : LiC12 off", key=key, of=_ratio_off, must=5, target=3, unit="%")
        yield Asked(what=f"{cell}: worst part by weight off", key=key, of=_worst_part, must=2, target=1, unit="wt%")
    yield Asked(
        what="transmission of rays inside the can, RMS off",
        key="aaa-charged-c2/axis-30",
        of=lambda one: one["transmission"]["inside_rms_percent"],
        must=2,
        target=0.5,
        unit="%",
    )
    for window in ("ring", "axis-30"):
        yield Asked(
            what=f"false fall-off of graphite towards the middle, {window}",
            key=f"aaa-charged-c2/{window}",
            of=lambda one: abs(100 * (one["shares"]["graphite_inner_over_outer"] - 1)),
            must=15,
            target=5,
            unit="%",
        )
    for cell in ("aaa-discharged-c2", "aaa-discharged-c20"):
        yield Asked(
            what=f"{cell}: graphite and LiC30, x RMS",
            key=WINDOWS.get(cell, f"{cell}/axis-30"),
            of=lambda one: one["x"]["refined_x_lithium"]["rms"],
            must=0.02,
            target=0.015,
            unit="",
        )
        yield Asked(
            what=f"{cell}: amplitude of what lags, y",
            key=WINDOWS.get(cell, f"{cell}/axis-30"),
            of=lambda one: 100 * one["y"]["amplitude"],
            must=80,
            target=95,
            unit="%",
            is_larger_better=True,
        )
        yield Asked(
            what=f"{cell}: places that lag told blindly, AUC",
            key=WINDOWS.get(cell, f"{cell}/axis-30"),
            of=lambda one: one["y"]["auc"],
            must=0.8,
            target=0.95,
            unit="",
            is_larger_better=True,
        )
    charged, discharged = "aaa-charged-c2/aaa-charged-c20/axis-30", "aaa-discharged-c2/aaa-discharged-c20/axis-30-half"
    for pair in (charged, discharged):
        yield Asked(
            what=f"{pair.split('/axis')[0]}: difference of c off",
            key=pair,
            of=lambda one: abs(one["difference_ma"] - one["true_ma"]),
            must=2,
            target=1,
            unit="mA",
        )
    yield Asked(
        what="charged pair told apart in a voxel",
        key=charged,
        of=lambda one: one["sigmas"],
        must=5,
        target=8,
        unit="sigma",
        is_larger_better=True,
    )
    for cell in ("aaa-charged-c2", "aaa-charged-c20"):
        yield Asked(
            what=f"{cell}: voxels on the right branch of y",
            key=f"{cell}/axis-30",
            of=lambda one: 100 * one["y"]["right_branch"],
            must=90,
            target=98,
            unit="%",
            is_larger_better=True,
        )
    yield Asked(
        what="discharged pair, sign in regions of ten voxels",
        key=discharged,
        of=lambda one: 100 * one["sign_right"],
        must=95,
        target=99,
        unit="%",
        is_larger_better=True,
    )
    for name, label in (("x_lithium", "x in LixC6"), ("y_nmc", "y in LiyNMC")):
        yield Asked(
            what=f"slope of the slice's {label} against charge off, 18650 at 1C",
            key="18650-balance/ring",
            of=lambda one, name=name: abs(one[name]["percent_off"]),
            must=10,
            target=5,
            unit="%",
        )
    for axis, must, target in (("c", 5, 2), ("a", 1.5, 1)):
        yield Asked(
            what=f"isolated spots of the secondary oxide: {axis}, bias",
            key="aaa-charged-c2/ring-spots",
            of=lambda one, axis=axis: abs(one["secondary"][axis]["bias_ma"]),
            must=must,
            target=target,
            unit="mA",
        )
    for what in ("recall", "precision"):
        yield Asked(
            what=f"isolated spots of the secondary oxide: {what}",
            key="aaa-charged-c2/axis-30",
            of=lambda one, what=what: 100 * one["secondary"][what],
            must=90,
            target=95,
            unit="%",
            is_larger_better=True,
        )


def table() -> str:
    """Give the table; a row whose cell was not run says so."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}
    lines = ["| what | must | target | measured | | cell, window, commit |", "|---|---|---|---|---|---|"]
    return "\n".join([*lines, *(one.row(figures) for one in asked())])
