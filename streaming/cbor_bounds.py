"""Bound a CBOR message before it is decoded: receives its bytes, refuses bombs; decodes nothing.

A decoder makes a Python object of each item, so ten megabytes of empty arrays become nearly a gigabyte. This walk looks at the
heads alone and skips over strings, so a proper image message costs some sixty steps whatever its size.
"""

from operando.errors import WireError

MAX_ITEMS = 20_000
"""A start message of an EIGER2 has about 150; user data may add to it."""
MAX_DEPTH = 24
"""A compressed image lies seven deep."""

_BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(2, 8)


def check_bounds(message: bytes) -> None:
    """Refuse a message that is not exactly one CBOR item of bounded depth and number of parts.

    Raises
    ------
    WireError
        If it is truncated, has bytes left over, is too deep, has too many parts, or parts of indefinite length.
    """
    end, position = len(message), 0
    open_items = [1]
    for _ in range(MAX_ITEMS):
        while not open_items[-1]:
            open_items.pop()
            if not open_items:
                if position != end:
                    raise WireError(f"message has {end - position} bytes too many")
                return
        open_items[-1] -= 1
        major, value, position = _head(message, position)
        if major in (_BYTES, _TEXT):
            position += value
        elif major in (_ARRAY, _MAP, _TAG):
            open_items.append(1 if major == _TAG else value * (1 + (major == _MAP)))
        if position > end:
            raise WireError(f"message is truncated: {position} bytes announced, {end} came")
        if len(open_items) > MAX_DEPTH:
            raise WireError(f"message is nested deeper than {MAX_DEPTH}")
    raise WireError(f"message has more than {MAX_ITEMS} parts")


def _head(message: bytes, position: int) -> tuple[int, int, int]:
    """Give the major type, the argument and the position behind the head that starts at a position."""
    if position >= len(message):
        raise WireError(f"message is truncated after {len(message)} bytes")
    first = message[position]
    major, short = first >> 5, first & 31
    if short < 24:
        return major, short, position + 1
    if short > 27:
        raise WireError(f"message has a part of indefinite length or of unknown kind at byte {position}")
    after = position + 1 + (1 << (short - 24))
    return major, int.from_bytes(message[position + 1 : after], "big"), after
