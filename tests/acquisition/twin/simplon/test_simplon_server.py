"""The detector process: real frames through it, ports in use, restarts, and a profile without a twin."""

import socket
import threading
from pathlib import Path

import fabio
import numpy as np
import pytest

from acquisition.twin.simplon.frames import MASKED
from acquisition.twin.simplon.ledger import Ledger
from acquisition.twin.simplon.pilatus import pilatus_mask
from acquisition.twin.simplon.server import SimplonServer, head_of_profile, make_file_server, serve
from operando.errors import DataError, ProfileError, ServiceError
from operando.profile import read_profile
from tests.acquisition.twin.simplon.rig import Bench, NumberedFrames, bench, small_head, unpacked


def test_the_real_ceo2_frame_is_served_and_decodes_to_the_same_counts(data_folder: Path):
    path = data_folder / "nDTomo" / "CeO2.cbf"
    running = Bench(make_file_server([path], is_paced=False, wavelength_angstrom=0.1746))
    try:
        running.configure(nimages=3)
        running.command("arm")
        running.put("command/trigger")
        messages = running.receive_series()
    finally:
        running.close()
    real = fabio.open(str(path)).data
    expected = np.where(real < 0, MASKED, real).astype(np.uint32)
    assert np.array_equal(unpacked(messages[1]["data"]["threshold_1"]), expected)
    assert messages[1]["data"]["threshold_1"].blob == messages[3]["data"]["threshold_1"].blob
    assert np.array_equal(unpacked(messages[0]["pixel_mask"]["threshold_1"]) != 0, real < 0)
    assert messages[0]["incident_energy"] == pytest.approx(71010, abs=2)


@pytest.mark.parametrize("which", ["rest", "stream"])
def test_a_port_in_use_is_one_clear_sentence(which):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        address = {"rest": f"http://127.0.0.1:{port}", "stream": f"tcp://127.0.0.1:{port}"}[which]
        with pytest.raises(ServiceError, match="Is another one running there"):
            SimplonServer(head=small_head(), source=NumberedFrames(), **{which: address})


def test_series_numbers_go_on_after_a_restart(tmp_path: Path):
    with bench(ledger_path=tmp_path / "series") as running:
        assert [running.command("arm"), running.command("abort"), running.command("arm")] == [1, 1, 2]
    with bench(ledger_path=tmp_path / "series") as running:
        assert running.command("arm") == 3


def test_a_ledger_that_holds_no_number_is_refused(tmp_path: Path):
    (tmp_path / "series").write_text("seven")
    with pytest.raises(DataError, match="seven"):
        Ledger(tmp_path / "series")


def test_closing_ends_an_armed_series():
    with bench() as running:
        running.command("arm")
        closer = threading.Thread(target=running.server.close)
        closer.start()
        assert [message["type"] for message in running.receive_series()] == ["start", "end"]
        closer.join(timeout=10)
        assert not closer.is_alive()


def test_a_profile_of_a_real_detector_is_not_served(tmp_path: Path):
    profile = read_profile("demo").model_copy(update={"twin": None})
    with pytest.raises(ProfileError, match="nothing to simulate"):
        serve(profile, out=tmp_path, ready=lambda: None, stop=threading.Event())


def test_a_mask_of_another_shape_is_refused():
    profile = read_profile("demo")
    assert head_of_profile(profile, pixel_mask=pilatus_mask()).shape == (1679, 1475)
    with pytest.raises(ProfileError, match="make them agree"):
        head_of_profile(profile, pixel_mask=np.zeros((3, 4), np.uint32))
