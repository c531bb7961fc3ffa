"""The line files of a run and of those it continues, by key: what was announced, what lies there, where to read it."""

import re
from collections.abc import Sequence
from pathlib import Path

from operando.scan import LineKey
from streaming.line import Line
from streaming.line_file import line_path, read_line

_STEM = re.compile(r"line-(\d+)-attempt-(\d+)")


class LineShelf:
    """Where each line of a run is.

    Parameters
    ----------
    run
        The run.
    lines_folder
        The folder of all lines.
    continues
        Earlier runs whose lines are this one's as well.
    """

    def __init__(self, run: str, lines_folder: Path, *, continues: Sequence[str] = ()) -> None:
        self.runs = (run, *continues)
        self._lines_folder = lines_folder
        self.folder = self._folder_of(run)
        """The folder of this run's lines."""
        self._paths: dict[LineKey, Path] = {}

    def note(self, key: LineKey, path: Path) -> None:
        """Remember where a line was written; a path that is not there is looked for in the run's folder."""
        self._paths[key] = path if path.is_file() else self._folder_of(key.run) / f"{key.stem}.h5"

    def scan(self) -> list[LineKey]:
        """Give all lines that lie in the folders, those of each run ascending."""
        found = []
        for run in self.runs:
            for path in sorted(self._folder_of(run).glob("line-*.h5")):
                match = _STEM.fullmatch(path.stem)
                if match:
                    key = LineKey(run=run, line=int(match[1]), attempt=int(match[2]))
                    self._paths.setdefault(key, path)
                    found.append(key)
        return found

    def path(self, key: LineKey) -> Path:
        """Give the file of a line."""
        return self._paths.get(key, self._folder_of(key.run) / f"{key.stem}.h5")

    def __call__(self, key: LineKey) -> Line:
        """Read a line.

        Raises
        ------
        DataError
            If the file is damaged, foreign, or another line's.
        FileNotFoundError
            If it is gone.
        """
        return read_line(self.path(key))

    def _folder_of(self, run: str) -> Path:
        return line_path(LineKey(run=run, line=0, attempt=0), self._lines_folder).parent
