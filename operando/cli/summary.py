"""What a beamtime came to, in one small JSON file: frames counted at both ends, and the errors against a simulated truth.

Frames sent are counted by the detector process; frames received are read back from the archive. Neither number knows the other.
"""

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import httpx
import numpy as np

from operando.bus import FeedClient
from operando.cli.against_truth import runs_against_truth, verdict
from operando.cli.beamtime import Beamtime
from operando.messages import ScanProgress, StreamStatus
from operando.profile import Profile

Finish = Callable[[Beamtime, ScanProgress], None]

_FEED_TIMEOUT_S = 5.0


def summary_since(started_s: float) -> Finish:
    """Give what writes ``summary.json`` when a run that began at ``started_s`` (monotonic) has ended."""

    def finish(beamtime: Beamtime, last: ScanProgress) -> None:
        summary = {
            "run": last.run,
            "profile": beamtime.profile.name,
            "wall_s": round(time.monotonic() - started_s, 2),
            "frames_sent": _frames_sent(beamtime.profile),
            **frames_in_archive(beamtime.out),
            **_frames_on_the_way(beamtime.profile),
            "lines": last.lines_done,
            "attempts": last.attempts,
            # Dark frames, a sign test and the like make no maps.
            **(_maps_in_archive(beamtime.out / "scan.nxs") if (beamtime.out / "scan.nxs").exists() else {}),
        }
        _write(summary, beamtime.out)

    return finish


def _frames_sent(profile: Profile) -> int | None:
    """Ask the detector how many images it has sent; None for one that does not count."""
    try:
        answer = httpx.get(f"{profile.detector.rest}/stream/api/1.8.0/status/frames_sent", timeout=5.0)
        return int(answer.raise_for_status().json()["value"])
    except (httpx.HTTPError, KeyError, ValueError):
        return None


def frames_in_archive(out: Path) -> dict[str, Any]:
    """Count what the line files of all runs and attempts hold, aborted ones too: they were received as well."""
    n_received = n_attempts = 0
    missing: list[tuple[int, int]] = []
    start_s, end_s = np.inf, -np.inf
    for path in sorted((out / "lines").rglob("*.h5")):
        if path.parent.name.endswith(("-turned", "-denser")):
            continue  # put together from other line files
        with h5py.File(path, "r") as file:
            entry = file["entry"]
            is_received = entry["patterns/is_received"][()].astype(bool)
            series, first = int(entry["series"][()]), int(entry["first_image_id"][()])
            start_s, end_s = min(start_s, float(entry["start"][()])), max(end_s, float(entry["end"][()]))
        n_received += int(is_received.sum())
        n_attempts += 1
        missing += [(series, first + int(i)) for i in np.flatnonzero(~is_received)]
    return {
        "attempts_in_all": n_attempts,
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
    if not path.is_file():
        # Dark frames, a calibrant or a point make none.
        return {"maps": 0, "map_names": []}
    with h5py.File(path, "r") as file:
        names = [name for name, group in file["entry"].items() if "estimator" in group.attrs]
    return {"maps": len(names), "map_names": names}


def add_truth(out: Path) -> list[str]:
    """Add to ``summary.json`` how far each run is from the simulated sample's truth, and tell it in a sentence for each.

    For when the processes have ended: only then does the truth file know all lines. The last run stands under ``truth``, all
    of them under ``runs``.
    """
    if not (out / "truth.h5").is_file():
        return []
    runs = runs_against_truth(out)
    if runs:
        summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
        _write(summary | {"truth": runs[-1], "runs": runs}, out)
    if len(runs) < 2:
        return [verdict(run) for run in runs]
    return [f"run {number} of {len(runs)}{_cell(run['cell'])}: {verdict(run)}" for number, run in enumerate(runs, start=1)]


def _cell(cell: Mapping[str, float | None]) -> str:
    """Tell the cell in the middle of a run, as far as the truth knows it."""
    words = {"voltage_v": "{:.2f} V", "mean_x": "mean x {:.2f}"}
    found = [text.format(cell[name]) for name, text in words.items() if cell.get(name) is not None]
    return f" ({', '.join(found)})" if found else ""


def _write(summary: Mapping[str, Any], out: Path) -> None:
    (out / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
