"""Answers about regions out of archives: the same code and the same lines as live, once somebody asks."""

from collections.abc import Callable, Sequence
from pathlib import Path

from operando.bus.asking import Answer, Answerer
from operando.errors import DataError, MissingInputError
from operando.messages import Message, RegionAsked
from operando.profile import read_profile


class ArchiveAnswers:
    """Answers for the runs of some archives; used from one thread.

    Nothing is read before the first question, so that a window opens as fast as without.

    Parameters
    ----------
    archives
        Each with ``profile.toml`` and ``lines/`` beside it, or a folder of such; where they are not, the answer says so.
    """

    def __init__(self, archives: Sequence[Path]) -> None:
        self._archives = tuple(archives)
        self._answerers: dict[str, Answerer] = {}

    def __call__(self, question: Message, *, is_wanted: Callable[[], bool]) -> Answer:
        """Give the pattern of a region.

        Raises
        ------
        DataError, MissingInputError
            If no archive is of the run that is asked for, or what it was made from is not beside it.
        """
        if not isinstance(question, RegionAsked):
            raise DataError("an archive answers questions for regions only")
        if question.run not in self._answerers:
            self._answerers[question.run] = _answerer(self._archive_of(question.run))
        return self._answerers[question.run](question, is_wanted=is_wanted)

    def _archive_of(self, run: str) -> Path:
        from streaming.archive import run_of_archive
        from viewer.replay import archives_in

        # A folder is looked through anew: what came after the window was opened answers, too.
        for source in self._archives:
            for archive in archives_in(source) if source.is_dir() else [source]:
                if run_of_archive(archive) == run:
                    return archive
        raise DataError(f"no file that is open here is of run {run}: open its scan.nxs")


def _answerer(archive: Path) -> Answerer:
    from streaming.answering import RegionAnswerer, ingredients_from_archive
    from streaming.channels import make_pattern_model

    profile_file, lines = archive.parent / "profile.toml", archive.parent / "lines"
    for needed in (profile_file, lines):
        if not needed.exists():
            raise MissingInputError(
                f"no {needed}: patterns of voxels are computed from the lines, with the profile of their run"
            )
    profile = read_profile(str(profile_file))
    return RegionAnswerer(
        profile,
        make_pattern_model(profile),
        lines_folder=lines,
        ingredients_of=lambda run: ingredients_from_archive(archive, profile),
    )
