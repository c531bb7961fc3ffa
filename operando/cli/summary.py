"""What a run came to, in one small JSON file: frames counted at both ends, and the errors against a simulated sample's truth.

Frames sent are counted by the detector process; frames received are read back from the archive. Neither number knows the other.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np

from operando.bus import FeedClient
from operando.cli.beamtime import Beamtime
from operando.messages import ScanProgress, StreamStatus
from operando.profile import Profile

Finish = Callable[[Beamtime, ScanProgress], None]

_FEED_TIMEOUT_S = 5.0
_LITHIUM = "x_lithium"


def summary_since(started_s: float) -> Finish:
    """Give what writes ``summary.json`` when a run that began at ``started_s`` (monotonic) has ended."""

    def finish(beamtime: Beamtime, last: ScanProgress) -> None:
        summary = {
            "run": last.run,
            "profile": beamtime.profile.name,
            "wall_s": round(time.monotonic() - started_s, 2),
            "frames_sent": _frames_sent(beamtime.profile),
            **frames_in_archive(beamtime.out, last.run),
            **_frames_on_the_way(beamtime.profile),
            "lines": last.lines_done,
            "attempts": last.attempts,
            **_maps_in_archive(beamtime.out / "scan.nxs"),
        }
        if (beamtime.out / "truth.h5").is_file():
            summary["truth"] = _errors_against_truth(beamtime.out)
        (beamtime.out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")

    return finish


def _frames_sent(profile: Profile) -> int | None:
    """Ask the detector how many images it has sent; None for one that does not count."""
    try:
        answer = httpx.get(f"{profile.detector.rest}/stream/api/1.8.0/status/frames_sent", timeout=5.0)
        return int(answer.raise_for_status().json()["value"])
    except (httpx.HTTPError, KeyError, ValueError):
        return None


def frames_in_archive(out: Path, run: str) -> dict[str, Any]:
    """Count what the line files of all attempts hold, aborted ones too: they were received as well."""
    n_received = 0
    missing: list[tuple[int, int]] = []
    start_s, end_s = np.inf, -np.inf
    for path in sorted((out / "lines" / run).rglob("*.h5")):
        with h5py.File(path, "r") as file:
            entry = file["entry"]
            is_received = entry["patterns/is_received"][()].astype(bool)
            series, first = int(entry["series"][()]), int(entry["first_image_id"][()])
            start_s, end_s = min(start_s, float(entry["start"][()])), max(end_s, float(entry["end"][()]))
        n_received += int(is_received.sum())
        missing += [(series, first + int(i)) for i in np.flatnonzero(~is_received)]
    return {
        "frames_received": n_received,
        "frames_missing": len(missing),
        "missing_ids": sorted(missing),
        "frames_per_s": round(n_received / (end_s - start_s), 2) if n_received else 0.0,
    }


def _frames_on_the_way(profile: Profile) -> dict[str, Any]:
    """Ask the reduction what it saw beyond what it wrote."""
    deadline = time.monotonic() + _FEED_TIMEOUT_S
    with FeedClient(profile.addresses.reduction) as reduction:
        while time.monotonic() < deadline:
            for entry in reduction.poll(0.2):
                if isinstance(entry.message, StreamStatus):
                    status = entry.message
                    return {"frames_duplicated": status.frames_duplicated, "frames_rejected": status.frames_rejected}
    return {"frames_duplicated": None, "frames_rejected": None}


def _maps_in_archive(path: Path) -> dict[str, Any]:
    with h5py.File(path, "r") as file:
        names = [name for name, group in file["entry"].items() if "estimator" in group.attrs]
    return {"maps": len(names), "map_names": names}


def _errors_against_truth(out: Path) -> dict[str, Any]:
    from acquisition.twin.score import score_amounts, score_lithium, score_weight_fractions
    from acquisition.twin.truth import read_slice

    truth = read_slice(out / "truth.h5")
    with h5py.File(out / "scan.nxs", "r") as file:
        entry = file["entry"]
        lithium = _analysed(entry[_LITHIUM], entry[_LITHIUM]["value"][()], entry[_LITHIUM]["value_errors"][()])
        fractions = {
            name.removeprefix("wt_"): _analysed(
                entry[name], entry[name]["value"][()] / 100, entry[name]["value_errors"][()] / 100
            )
            for name in entry
            if name.startswith("wt_")
        }
        amounts = _amounts(entry["amounts"])
    scores, scale = score_amounts(amounts, truth)
    return {
        "sample": truth.name,
        "x_lithium": _rounded(score_lithium(lithium, truth)),
        "weight_fraction": {name: _rounded(score) for name, score in score_weight_fractions(fractions, truth).items()},
        "amount_g_cm3": {name: _rounded(score) for name, score in scores.items()},
        "amount_scale": scale,
    }


def _amounts(group: Any) -> dict[str, Any]:
    names = [name.decode() for name in group["phase_name"][()]]
    return {name: _analysed(group, group["amounts"][k], group["amounts_errors"][k]) for k, name in enumerate(names)}


def _analysed(group: Any, value: Any, sigma: Any) -> Any:
    from acquisition.twin.score import AnalysedMap

    x, y = group["x"][()], group["y"][()]
    reason = group["reason"][()] if "reason" in group else np.zeros(value.shape, dtype=np.uint8)
    return AnalysedMap(
        value=value, sigma=sigma, reason=reason, pixel_mm=float(x[1] - x[0]), x_first_mm=float(x[0]), y_first_mm=float(y[0])
    )


def _rounded(score: Any) -> dict[str, float | int | None]:
    names = ("rms", "bias", "coverage_68", "n_voxels", "n_missing")
    return {name: round(value, 5) if isinstance(value := getattr(score, name), float) else value for name in names}
