"""Point Channel Access at a beamline before anything opens it: the environment is read once, when the first channel is made."""

import os
import socket
from collections.abc import Sequence

from operando.errors import ServiceError
from operando.profile import Profile

LOOPBACK = "127.0.0.1"

CELL_PORT_OFFSET = 1
"""The cell bridge is a second server on the same host: it serves on the profile's port plus this."""

REPEATER_PORT_OFFSET = 9
"""Beacons of a simulated beamline go here and disturb no other beamline on the machine."""

CONNECTION_TIMEOUT_S = 5
"""Silence after which a client gives a server up; the default of 30 s would let a scan wait that long for a dead one."""

SEARCH_PERIOD_S = 60
"""Longest pause between two searches for a server that is away; the least that Channel Access allows, the default is 300."""


def use_as_client(ports: Sequence[int]) -> None:
    """Let this process find the servers on loopback at these ports; call it before the first channel is made.

    Addresses that are already named stay, so that one process may speak with several simulated beamlines.
    """
    _add_addresses([f"{LOOPBACK}:{port}" for port in ports])
    os.environ["EPICS_CA_AUTO_ADDR_LIST"] = "NO"
    os.environ.setdefault("EPICS_CA_REPEATER_PORT", str(ports[0] + REPEATER_PORT_OFFSET))
    os.environ.setdefault("EPICS_CA_CONN_TMO", str(CONNECTION_TIMEOUT_S))
    os.environ.setdefault("EPICS_CA_MAX_SEARCH_PERIOD", str(SEARCH_PERIOD_S))


def use_beamline(profile: Profile) -> None:
    """Let this process find the profile's beamline: a simulated one on loopback, a real one where the site says.

    The cell bridge is ours in either case and is looked for on this computer as well.
    """
    port = profile.control.channel_access_port
    if profile.twin is not None:
        use_as_client([port, port + CELL_PORT_OFFSET])
    else:
        _add_addresses([f"{LOOPBACK}:{port + CELL_PORT_OFFSET}"])


def _add_addresses(wanted: Sequence[str]) -> None:
    known = os.environ.get("EPICS_CA_ADDR_LIST", "").split()
    os.environ["EPICS_CA_ADDR_LIST"] = " ".join([*known, *(address for address in wanted if address not in known)])


def use_as_server(port: int) -> None:
    """Let a Channel Access server of this process serve this port on loopback only; call it before the server is made.

    Raises
    ------
    ServiceError
        If the port is taken. A server would quietly share it, and each would get half of the questions.
    """
    _check_free(port)
    os.environ.update(
        {
            "EPICS_CA_SERVER_PORT": str(port),
            "EPICS_CAS_SERVER_PORT": str(port),
            "EPICS_CAS_INTF_ADDR_LIST": LOOPBACK,
            "EPICS_CAS_AUTO_BEACON_ADDR_LIST": "NO",
            "EPICS_CAS_BEACON_ADDR_LIST": f"{LOOPBACK}:{port + REPEATER_PORT_OFFSET}",
            "EPICS_CA_ADDR_LIST": f"{LOOPBACK}:{port}",
            "EPICS_CA_AUTO_ADDR_LIST": "NO",
        }
    )


def _check_free(port: int) -> None:
    for kind, word in ((socket.SOCK_STREAM, "TCP"), (socket.SOCK_DGRAM, "UDP")):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # A port that a dead server left in TIME_WAIT is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError as taken:
                raise ServiceError(
                    f"Channel Access port {port} ({word}) is taken ({taken.strerror}): end the other server, "
                    "or set control.channel_access_port in the profile"
                ) from taken
