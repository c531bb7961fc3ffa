"""The widget that napari opens: the viewer's own, wired to who answers questions about files."""

from collections.abc import Sequence
from pathlib import Path

from operando.cli.archive_answers import ArchiveAnswers
from viewer.oracle import LocalOracle
from viewer.plugin import Connector


class Widget(Connector):
    """Shows a scan, running or finished, and answers about its voxels from the lines beside it."""

    @staticmethod
    def oracle_of(files: Sequence[Path]) -> LocalOracle:
        """Give who answers for some archives."""
        return LocalOracle(ArchiveAnswers(files))
