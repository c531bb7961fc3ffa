"""A missing screen is one sentence, before Qt ends the process."""

from pathlib import Path

import pytest

from operando.errors import MissingInputError, ServiceError
from viewer.app import view
from viewer.screen import check_screen


def test_no_screen_is_one_sentence(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    with pytest.raises(ServiceError, match="no screen"):
        view("tcp://127.0.0.1:24103")


def test_a_platform_that_draws_black_canvases_is_refused(monkeypatch):
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    with pytest.raises(ServiceError, match="QT_QPA_PLATFORM=offscreen draws no maps"):
        check_screen()


def test_a_screen_that_does_not_answer_is_refused(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":64999")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    with pytest.raises(ServiceError, match="the screen :64999 cannot be used"):
        check_screen()


def test_what_is_no_address_or_not_one_source_is_refused_before_a_window_opens():
    with pytest.raises(ServiceError, match="is not an address"):
        view("localhost")
    with pytest.raises(MissingInputError, match="either"):
        view(None)
    with pytest.raises(MissingInputError, match="either"):
        view("tcp://127.0.0.1:1", [Path("scan.nxs")])
