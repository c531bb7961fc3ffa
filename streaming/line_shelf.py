"""The line files of one run, by key: what has been announced, what lies in the folder, and where to read a line again."""

import re
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
    """

    def __init__(self, run: str, lines_folder: Path) -> None:
        self._run = run
        self.folder = line_path(LineKey(run=run, line=0, attempt=0), lines_folder).parent
        """The folder of this run's lines."""
        self._paths: dict[LineKey, Path] = {}

    def note(self, key: LineKey, path: Path) -> None:
        """Remember where a line was written; a path that is not there is looked for in the run's folder."""
        self._paths[key] = path if path.is_file() else self.folder / f"{key.stem}.h5"

    def scan(self) -> list[LineKey]:
        """Give all lines that lie in the folder, ascending."""
        found = []
        for path in sorted(self.folder.glob("line-*.h5")):
            match = _STEM.fullmatch(path.stem)
            if match:
                key = LineKey(run=self._run, line=int(match[1]), attempt=int(match[2]))
                self._paths.setdefault(key, path)
                found.append(key)
        return found

    def path(self, key: LineKey) -> Path:
        """Give the file of a line."""
        return self._paths.get(key, self.folder / f"{key.stem}.h5")

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
