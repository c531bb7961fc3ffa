"""A file answers like the running analysis: from the lines beside it, with the profile of its run."""

import time

import numpy as np
import pytest

from operando.cli.archive_answers import ArchiveAnswers
from operando.messages import Refused, RegionAnswered
from operando.profile import write_profile
from tests.streaming.phantom import demo_profile
from tests.viewer.test_same_as_live import N_LINES_FLOWN, analysed
from viewer.inquiry import Inquiry
from viewer.oracle import LocalOracle
from viewer.replay import entries_from_archive
from viewer.session import Session


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    found = tmp_path_factory.mktemp("run")
    analysed(found)
    write_profile(demo_profile(), found / "profile.toml")
    return found


def asked(archive, *others):
    """Pin a voxel of an archive, and give its pin with its answer."""
    session = Session()
    for entry in entries_from_archive(archive):
        session.apply(entry)
    stack = session.stacks["x_lithium"]
    voxels = np.zeros(stack.grid.shape, dtype=bool)
    voxels[tuple(np.argwhere(np.isfinite(stack.value[0]))[0])] = True
    session.pin(stack.grid, voxels, keep=False)
    inquiry = Inquiry(session, LocalOracle(ArchiveAnswers(others or [archive])))
    deadline = time.monotonic() + 60
    try:
        while not inquiry.tick() and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        inquiry.close()
    return session.pins.items[0]


def test_a_voxel_of_a_file_gives_pattern_fit_and_phases(folder):
    pin = asked(folder / "scan.nxs")
    assert pin.complaint == ""
    answer, arrays = pin.answer.message, pin.answer.arrays
    assert isinstance(answer, RegionAnswered)
    assert answer.n_lines == N_LINES_FLOWN
    assert {phase.name for phase in answer.phases} == {phase.name for phase in demo_profile().phases}
    assert 0 <= answer.x_lithium <= 1.2
    assert answer.x_lithium_sigma > 0
    assert np.isfinite(arrays["intensity"]).any()
    assert arrays["fit"].shape == arrays["q"].shape


def test_what_is_not_beside_a_file_is_named(folder, tmp_path):
    archive = tmp_path / "alone.nxs"
    archive.write_bytes((folder / "scan.nxs").read_bytes())
    assert "profile.toml" in asked(archive).complaint
    write_profile(demo_profile(), tmp_path / "profile.toml")
    assert f"no {tmp_path / 'lines'}" in asked(archive).complaint


def test_a_folder_answers_for_the_archives_in_it(folder):
    assert asked(folder / "scan.nxs", folder).complaint == ""


def test_a_run_that_no_open_file_holds_is_refused(folder, tmp_path):
    empty = tmp_path / "other.nxs"
    empty.write_bytes(b"")
    assert "no file that is open here is of run" in asked(folder / "scan.nxs", empty).complaint
    oracle = LocalOracle(ArchiveAnswers([empty]))
    oracle.ask(Refused(text="not a question"))
    deadline = time.monotonic() + 30
    while (entry := oracle.poll()) is None and time.monotonic() < deadline:
        time.sleep(0.01)
    oracle.close()
    assert "regions only" in entry.message.text
