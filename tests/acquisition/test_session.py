"""The acquisition process refuses, before it is ready, what it cannot do."""

import threading
from pathlib import Path

import pytest

from acquisition.session import serve
from operando.bus.server import FeedServer
from operando.bus.store import MemoryStore
from operando.errors import MissingInputError, OperandoError, ProfileError, ServiceError
from operando.profile import Profile, read_profile


def profile_with(**sections: dict[str, object]) -> Profile:
    profile = read_profile("demo")
    changed = {name: getattr(profile, name).model_copy(update=keys) for name, keys in sections.items()}
    return profile.model_copy(update=changed)


def refusal(profile: Profile, out: Path) -> OperandoError:
    ready = threading.Event()
    with pytest.raises(OperandoError) as refused:
        serve(profile, out=out, ready=ready.set, stop=threading.Event())
    assert not ready.is_set()
    return refused.value


def test_scan_that_cannot_be_flown_is_refused_without_a_journal(tmp_path: Path) -> None:
    error = refusal(profile_with(scan={"centre_mm": 7.0}), tmp_path)
    assert isinstance(error, ProfileError)
    assert "cannot be flown" in str(error)
    assert not (tmp_path / "journal.jsonl").exists()


def test_missing_geometry_is_refused(tmp_path: Path) -> None:
    error = refusal(profile_with(geometry={"poni": Path("absent.poni")}), tmp_path)
    assert isinstance(error, MissingInputError)
    assert "absent.poni" in str(error)


def test_taken_address_of_the_journal_is_refused(tmp_path: Path) -> None:
    with FeedServer(MemoryStore(), "tcp://127.0.0.1:*") as other:
        error = refusal(profile_with(addresses={"journal": other.address}), tmp_path)
    assert isinstance(error, ServiceError)
    assert other.address in str(error)
