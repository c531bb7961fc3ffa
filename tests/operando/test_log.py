import contextlib
import io

import pytest
import structlog

from operando.log import configure_logging


def test_logging_outlives_the_standard_error_it_was_configured_with(capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.redirect_stderr(io.StringIO()) as first:
        configure_logging()
    first.close()
    structlog.get_logger("test").info("still told", figure=1)
    assert "still told" in capsys.readouterr().err
    structlog.reset_defaults()
