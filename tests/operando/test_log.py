"""What the processes write into their logs, also when a library reports an error."""

import contextlib
import io
import subprocess
import sys

import pytest
import structlog

from operando.log import configure_logging

PROGRAM = """
import logging
from operando.errors import ServiceError
from operando.log import configure_logging
configure_logging()
try:
    raise {error}("the detector does not answer")
except Exception:
    logging.getLogger("bluesky").exception("Run aborted")
"""


def test_logging_outlives_the_standard_error_it_was_configured_with(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as first:
        configure_logging()
    first.close()
    structlog.get_logger("test").info("still told", figure=1)
    assert "still told" in capsys.readouterr().err
    structlog.reset_defaults()


@pytest.mark.parametrize(("error", "has_trace"), [("ServiceError", False), ("ValueError", True)])
def test_the_trace_of_an_explained_error_is_left_out_and_that_of_a_bug_stays(error: str, has_trace: bool) -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(error=error)], capture_output=True, text=True, timeout=60, check=True
    )
    assert "the detector does not answer" in result.stderr
    assert ("Traceback" in result.stderr) == has_trace
