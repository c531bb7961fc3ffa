"""Ports of a demo: free, different, and none that the system gives to somebody else before they are bound."""

import socket

from operando.cli.ports import free_ports


def test_ports_are_different_and_below_those_that_the_system_gives_away() -> None:
    ports = free_ports(50)

    assert len(set(ports)) == 50
    assert max(ports) < 32768


def test_a_port_that_is_taken_is_not_given() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_ports(1)[0]))
        taken.listen()
        every = free_ports(7000)

        assert taken.getsockname()[1] not in every


def test_two_demos_that_start_together_choose_differently() -> None:
    assert free_ports(8) != free_ports(8)
