"""The shared words and wires of operando: messages, bus, journal, profile, errors and the command line.

Nothing here knows physics. ``acquisition``, ``streaming`` and ``viewer`` stand on this package and never on each other.
"""

__version__ = "0.1.0"
