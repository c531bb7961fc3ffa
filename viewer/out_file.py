"""Files that the viewer leaves behind: each comes whole or not at all, or there is one sentence on why it cannot."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from operando.errors import OutputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; what was written there gets its own name at the end, and is gone after an error.

    Raises
    ------
    OutputError
        If the folder cannot be made or the file cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as wrong:
        reason = wrong.strerror or str(wrong)
        raise OutputError(f"cannot write {path}: {reason}; choose a folder that you may write to") from wrong
    finally:
        _forget(temporary)


def _forget(temporary: Path) -> None:
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        pass  # There is no such folder: nothing was written either.
