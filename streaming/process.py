"""Process a recorded measurement again: receives its lines and settings, gives a new archive; by the code that ran live.

The lines go through :class:`streaming.analysis.Analysis` as they did while the scan ran, so whatever it does live is done here,
and the same settings give the same numbers. The input is only read.
"""

import datetime
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from operando.bus import MemoryStore
from operando.errors import DataError, OutputError, ProfileError
from operando.messages import Notice, RunStopped, ScanProgress
from operando.profile import Profile, write_profile
from operando.profile.settings import changed_keys
from operando.scan import LineKey
from streaming.analysis import Analysis
from streaming.channels import make_pattern_model
from streaming.gpu.device import choose_device
from streaming.gpu.refiner import kernel_on
from streaming.gpu.volume import voxels_on
from streaming.line_file import line_path, replace_file
from streaming.pattern_cache import PatternCache
from streaming.recorded import Recorded, check_lines, sha256_of
from streaming.refine.fit import Kernel
from streaming.refine.job import Refinery
from streaming.refine.phase_list import FILE as PHASES_FILE
from streaming.refine.phase_list import PhaseList
from streaming.refine.worker import InlineRefiner

BEFORE_THE_LINES = (
    "detector",
    "geometry",
    "integration.q_min",
    "integration.q_max",
    "integration.n_radial",
    "integration.trim",
)
"""Settings that were used up when the frames became patterns; with other ones the frames must be integrated again."""
NOT_OF_ANALYSIS = ("name", "control", "listen", "addresses", "twin", "cell_limits")
"""Settings that change nothing in the maps; of ``scan``, the centre alone does."""

_ENDINGS: dict[str, Literal["success", "abort", "fail"]] = {"finished": "success", "aborted": "abort", "failed": "fail"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Processed:
    """What came of it."""

    archive: Path
    n_lines: int
    n_lines_expected: int
    notices: tuple[str, ...]
    """What the analysis had to say, in sentences."""


def check_settings(before: Profile, after: Profile) -> dict[str, tuple[object, object]]:
    """Give the settings that differ, with both values, and refuse those that lines cannot be processed with.

    Raises
    ------
    ProfileError
        If a setting was used up before the lines were written, or is none of the analysis.
    """
    changed = changed_keys(before, after)
    for key in changed:
        if _stands_below(key, BEFORE_THE_LINES):
            raise ProfileError(
                f"{key} was used when frames became lines and cannot be changed from lines: integrate them again"
            )
        if _stands_below(key, NOT_OF_ANALYSIS) or (_stands_below(key, ("scan",)) and key != "scan.centre_mm"):
            raise ProfileError(f"{key} changes nothing in the maps: leave it as it is")
    return changed


def process(
    recorded: Recorded,
    profile: Profile,
    out: Path,
    *,
    is_partial: bool = False,
    wall_clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC),
) -> Processed:
    """Analyse recorded lines with a profile and write ``out/scan.nxs``.

    Beside it stand the profile and links to the lines, so that the new archive can be asked, exported and processed like any.

    Parameters
    ----------
    recorded
        The measurement.
    profile
        With all settings as they shall be.
    out
        A folder without an archive.
    is_partial
        Whether to go on without lines that cannot be used.
    wall_clock
        Gives the time.

    Raises
    ------
    OutputError
        If ``out`` holds an archive already.
    DataError
        If lines cannot be used and ``is_partial`` does not allow it, or nothing can be made of them.
    ProfileError
        If a setting cannot be changed any more.
    """
    device = choose_device(profile.compute.device)
    if (out / "scan.nxs").exists() or (out / "lines").exists():
        raise OutputError(f"{out} holds a run already: choose another --out; nothing is ever overwritten")
    changed = check_settings(recorded.profile, profile)
    model = make_pattern_model(profile)
    wrong = check_lines(recorded, model.q)
    if wrong and not is_partial:
        raise DataError(f"{_sentence(wrong, recorded)}. Put them right, or go on without them by --partial")
    files = {key: path for key, path in recorded.files.items() if key not in wrong}
    if not files:
        raise DataError(f"no line of {recorded.archive} can be used: {_sentence(wrong, recorded)}")
    out.mkdir(parents=True, exist_ok=True)
    write_profile(profile, out / "profile.toml")
    _link(files, out / "lines")
    store = MemoryStore()
    analysis = Analysis(
        profile,
        model,
        out=out,
        store=store,
        clock=lambda: 0.0,
        wall_clock=lambda: wall_clock().timestamp(),
        provenance=_provenance(recorded, files, wrong, changed, made_at=wall_clock()),
        refiner=_refiner(recorded, profile, out, kernel_on(device)),
        make_volume=voxels_on(device),
    )
    for earlier in recorded.earlier:
        analysis.hear(earlier, {})
    analysis.hear(recorded.run, {})
    for reading in recorded.readings:
        analysis.hear(reading, {})
    # The lines are found in the folder, as they are by an analysis that comes back.
    analysis.work()
    analysis.finish()
    analysis.hear(recorded.stopped or _end_of(recorded), {})
    analysis.work()
    return _conclude(store, out / "scan.nxs", wrong, recorded)


def _refiner(recorded: Recorded, profile: Profile, out: Path, kernel: Kernel) -> InlineRefiner | None:
    """Give what refines the whole run once, with the phases that were looked for at its end."""
    if not profile.refinement.enabled:
        return None
    chosen = recorded.archive.parent / PHASES_FILE
    if chosen.is_file():
        replace_file(out / PHASES_FILE, chosen.read_bytes())
    refinery = Refinery(profile, kernel=kernel, phase_list=PhaseList(profile, out / PHASES_FILE))
    settings = profile.integration
    patterns = PatternCache(out / "lines", refinery.q, estimator=settings.estimator, sector=settings.sector)
    return InlineRefiner(refinery, patterns)


def _stands_below(key: str, tables: tuple[str, ...]) -> bool:
    return any(key == table or key.startswith(f"{table}.") for table in tables)


def _sentence(wrong: dict[LineKey, str], recorded: Recorded) -> str:
    first = [f"line {key.line}, attempt {key.attempt}: {reason}" for key, reason in list(wrong.items())[:3]]
    more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    return f"{len(wrong)} of {len(recorded.files)} lines cannot be used: {'; '.join(first)}{more}"


def _link(files: dict[LineKey, Path], lines: Path) -> None:
    """Link to the lines that count, and to no others, so that whoever looks into the folder sees what was analysed."""
    for key, path in files.items():
        link = line_path(key, lines)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(path.resolve(), link.parent.resolve()))


def _provenance(
    recorded: Recorded,
    files: dict[LineKey, Path],
    wrong: dict[LineKey, str],
    changed: dict[str, tuple[object, object]],
    *,
    made_at: datetime.datetime,
) -> dict[str, str]:
    return {
        "made": "offline, from line files",
        "made_at": made_at.isoformat(),
        "input": str(recorded.archive.resolve()),
        "input_sha256": sha256_of(recorded.archive),
        "input_lines": json.dumps({key.stem: sha256_of(path) for key, path in files.items()}),
        "left_out": json.dumps({key.stem: reason for key, reason in wrong.items()}),
        "changed_settings": json.dumps({key: {"was": was, "is": now} for key, (was, now) in changed.items()}),
    }


def _end_of(recorded: Recorded) -> RunStopped:
    status = _ENDINGS.get(recorded.state, "abort")
    reason = "" if recorded.state in _ENDINGS else "the recording ends before the run's end"
    return RunStopped(run=recorded.run.run, exit_status=status, reason=reason, time_s=recorded.run.time_s)


def _conclude(store: MemoryStore, archive: Path, wrong: dict[LineKey, str], recorded: Recorded) -> Processed:
    messages = [entry.message for entry in store.since(0, limit=1_000_000)]
    notices = [message.text for message in messages if isinstance(message, Notice)]
    progress = [message for message in messages if isinstance(message, ScanProgress)]
    if not progress or not archive.is_file():
        raise DataError(f"nothing came of {recorded.archive}: {'; '.join(notices) or 'no line could be taken up'}")
    if wrong:
        notices.insert(0, _sentence(wrong, recorded))
    return Processed(
        archive=archive,
        n_lines=progress[-1].lines_done,
        n_lines_expected=progress[-1].lines_expected,
        notices=tuple(notices),
    )
