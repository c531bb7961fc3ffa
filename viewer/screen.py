"""Is there a screen to draw on? Asked before Qt is, because Qt ends the whole process where there is none.

A child process opens a window system connection and an OpenGL context; whatever goes wrong there becomes one sentence here.
"""

import os
import subprocess
import sys

from operando.errors import ServiceError

DEADLINE_S = 60.0
"""A screen that has not answered by then is none; a busy machine may take seconds to load Qt."""

_PROBE = """
from qtpy.QtGui import QGuiApplication, QOffscreenSurface, QOpenGLContext
app = QGuiApplication(["operando"])
surface = QOffscreenSurface(); surface.create()
context = QOpenGLContext()
print("gl" if context.create() and context.makeCurrent(surface) else "no gl", flush=True)
"""


def check_screen() -> None:
    """Make sure that a window with OpenGL can open here.

    Raises
    ------
    ServiceError
        If not: the sentence says what is missing and what to do.
    """
    platform = os.environ.get("QT_QPA_PLATFORM", "").split(":")[0]
    if platform in {"offscreen", "minimal", "vnc"}:
        raise ServiceError(
            f"QT_QPA_PLATFORM={platform} draws no maps (no OpenGL): unset it and use a screen, or run under xvfb-run -a"
        )
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise ServiceError(
            "no screen: neither DISPLAY nor WAYLAND_DISPLAY is set; use a desktop, or add --headless --snapshot FILE.png"
        )
    try:
        probe = subprocess.run(  # noqa: S603 - our own interpreter and our own text
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=DEADLINE_S, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise ServiceError(f"the screen {_screen_name()} did not answer within {DEADLINE_S:.0f} s") from late
    if probe.returncode != 0:
        raise ServiceError(f"the screen {_screen_name()} cannot be used: {_reason(probe.stderr)}")
    if "no gl" in probe.stdout:
        raise ServiceError(f"the screen {_screen_name()} has no OpenGL: install libgl1-mesa-dri, or use another screen")


def _screen_name() -> str:
    return os.environ.get("WAYLAND_DISPLAY") or os.environ.get("DISPLAY") or "of this machine"


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[0][:300] if lines else "Qt ended without a word"
