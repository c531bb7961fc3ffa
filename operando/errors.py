"""Errors that somebody catches by name; everything else is a ``ValueError`` or ``RuntimeError`` with a clear sentence."""


class OperandoError(Exception):
    """Base of the errors that the command line turns into one sentence and an exit code.

    ``exit_code`` follows the BSD ``sysexits`` convention, so that scripts can tell bad input from a missing service.
    """

    exit_code = 70


class ProfileError(OperandoError):
    """A profile is missing, unreadable or wrong; caught by the command line before any process starts."""

    exit_code = 78


class DataError(OperandoError):
    """A file or message does not hold what it should; caught where it was read, counted or shown."""

    exit_code = 65


class MissingInputError(OperandoError):
    """A file that the user named does not exist; caught by the command line."""

    exit_code = 66


class ServiceError(OperandoError):
    """A port is taken, a server does not answer or a screen is missing; caught by the command line and the supervisor."""

    exit_code = 69


class OutputError(OperandoError):
    """A file that the user asked for cannot be written; caught by the command line."""

    exit_code = 73


class StoppedError(OperandoError):
    """A person ended the work before it was done; caught by the command line. The shell's code for Ctrl-C."""

    exit_code = 130


class WireError(DataError):
    """A message on a socket is malformed, oversized or of another version; caught and counted by its receiver."""


class CalibrationError(DataError):
    """A calibration is refused, with the reason in words; caught by ``operando calibrate``."""
