"""A virtual screen, for windows where there is no real one."""

import os
import subprocess
from types import TracebackType

from operando.errors import ServiceError


class VirtualScreen:
    """An Xvfb server for the length of a ``with`` block; :attr:`environment` leads Qt to it.

    Raises
    ------
    ServiceError
        On entering, if Xvfb is not installed or does not start.
    """

    def __init__(self, *, width: int = 1700, height: int = 1000) -> None:
        self._size = f"{width}x{height}x24"
        self._process: subprocess.Popen[bytes] | None = None
        self.display = ""

    @property
    def environment(self) -> dict[str, str]:
        """Variables for a child process: this display, Qt's xcb platform, Mesa's software OpenGL."""
        return {"DISPLAY": self.display, "QT_QPA_PLATFORM": "xcb", "LIBGL_ALWAYS_SOFTWARE": "1"}

    def __enter__(self) -> "VirtualScreen":
        read_end, write_end = os.pipe()
        command = ["Xvfb", "-displayfd", str(write_end), "-screen", "0", self._size, "+extension", "GLX", "-nolisten", "tcp"]
        try:
            self._process = subprocess.Popen(  # noqa: S603
                command, pass_fds=[write_end], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
            )
        except FileNotFoundError as absent:
            raise ServiceError("no Xvfb on this machine: install it (apt-get install xvfb), or use a real screen") from absent
        finally:
            os.close(write_end)
        # Xvfb writes the number of the display that it found free once it listens, and closes the pipe if it fails.
        with os.fdopen(read_end) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise ServiceError(f"Xvfb did not start (exit code {self._process.wait(timeout=10)}): try it by hand with Xvfb :99")
        self.display = f":{number}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=10)
