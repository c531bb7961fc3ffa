"""What a run is for and whose lines are its own: read from what acquisition said when it began."""

from collections.abc import Mapping

from operando.messages import RunStarted

TOMOGRAM = "tomogram"


def purpose_of(run: RunStarted) -> str:
    """Give what the frames of a run are for; a run that does not say is a tomogram."""
    purpose = run.metadata.get("purpose", TOMOGRAM)
    return purpose if isinstance(purpose, str) and purpose else TOMOGRAM


def makes_maps(run: RunStarted) -> bool:
    """Whether the lines of a run are those of a slice; a calibrant, dark frames or a repeated line are not."""
    return purpose_of(run) == TOMOGRAM


def own_runs(run: RunStarted, known: Mapping[str, RunStarted]) -> tuple[list[str], str]:
    """Give the runs whose lines make the tomogram of a run: itself, the one that it continues, the one before that.

    Returns
    -------
    list of str
        The run first, then the earlier ones.
    str
        Why an earlier one is left out; empty if none is.
    """
    found, newest = [run.run], run
    while continued := newest.metadata.get("continues"):
        if continued in found:
            break
        earlier = known.get(str(continued))
        if earlier is None:
            return found, f"run {continued}, which this one continues, is not in this journal: its lines are not in the maps"
        if _grid(earlier) != _grid(run):
            return found, f"run {continued} has other angles or positions than this one: its lines are not in the maps"
        found.append(earlier.run)
        newest = earlier
    return found, ""


def _grid(run: RunStarted) -> tuple[object, ...]:
    return tuple(run.angles_deg), run.first_position_mm, run.step_mm, run.n_points
