"""What a run is for and whose lines are its own: read from what acquisition said when it began."""

from collections.abc import Mapping, Sequence

from operando.messages import RunStarted

TOMOGRAM = "tomogram"

STEPS_IN_ONE = 2
"""Steps of a run that makes another one denser, in one step of that one."""

PUT_TOGETHER = ("-turned", "-denser")
"""Ends of the names under which the analysis keeps lines that it put together from flown ones."""


def purpose_of(run: RunStarted) -> str:
    """Give what the frames of a run are for; a run that does not say is a tomogram."""
    purpose = run.metadata.get("purpose", TOMOGRAM)
    return purpose if isinstance(purpose, str) and purpose else TOMOGRAM


def makes_maps(run: RunStarted) -> bool:
    """Whether the lines of a run are those of a slice; a calibrant, dark frames or a repeated line are not."""
    return purpose_of(run) == TOMOGRAM


def made_denser(run: RunStarted) -> str:
    """Give the run of which this one flies a part again with finer steps; empty if there is none."""
    return str(run.metadata.get("densifies") or "")


def is_put_together(of_run: str, run: str) -> bool:
    """Whether lines of that name were put together by the analysis of a run."""
    return any(of_run == f"{run}{end}" for end in PUT_TOGETHER)


def own_runs(run: RunStarted, known: Mapping[str, RunStarted]) -> tuple[list[str], str]:
    """Give the runs whose lines make the tomogram of a run: itself, the one that it continues or makes denser, and so on.

    Returns
    -------
    list of str
        The run first, then the earlier ones.
    str
        Why an earlier one is left out; empty if none is.
    """
    found, newest = [run.run], run
    while continued := newest.metadata.get("continues") or made_denser(newest):
        if continued in found:
            break
        earlier = known.get(str(continued))
        if earlier is None:
            return found, f"run {continued}, which this one goes on from, is not in this journal: its lines are not in the maps"
        if _grid(earlier) not in _grids_before(newest):
            return found, f"run {continued} has other angles or positions than this one: its lines are not in the maps"
        found.append(earlier.run)
        newest = earlier
    return found, ""


def _grids_before(run: RunStarted) -> Sequence[tuple[object, ...]]:
    """Give the grids that the run before one may have: its own, or one of every second of its points if it is denser."""
    if not made_denser(run):
        return [_grid(run)]
    coarse = {"step_mm": STEPS_IN_ONE * run.step_mm, "n_points": (run.n_points - 1) // STEPS_IN_ONE + 1}
    return [_grid(run), _grid(run.model_copy(update=coarse))]


def _grid(run: RunStarted) -> tuple[object, ...]:
    return tuple(run.angles_deg), run.first_position_mm, run.step_mm, run.n_points
