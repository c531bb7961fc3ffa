"""How the processes log: events of few words with fields, to standard error, with times in UTC."""

import logging
import sys

import structlog

from operando.errors import OperandoError


def configure_logging(*, verbose: bool = False) -> None:
    """Set up structlog for this process; libraries that use the standard logging show warnings only."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_shorten)
    # silx says at every start that there is no OpenCL; nothing here wants it.
    logging.getLogger("silx.opencl").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        # Looked up for each event: whoever exchanges standard error, as test runners do, may close what it was.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def _shorten(record: logging.LogRecord) -> bool:
    """Replace the trace of an error that says what is wrong by its sentence; the traces of bugs stay."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OperandoError):
        record.msg, record.args, record.exc_info = f"{record.getMessage()}: {error}", (), None
    return True
