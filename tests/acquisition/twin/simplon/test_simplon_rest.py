"""The REST interface: shapes of answers, refusals in one sentence, and no request that breaks it."""

import base64
import json

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.acquisition.twin.simplon.rig import SHAPE, bench, small_head


@pytest.fixture(scope="module")
def one_server():
    with bench() as running:
        yield running


@pytest.fixture
def running(one_server):
    one_server.put("command/initialize")
    return one_server


def test_a_parameter_comes_in_simplons_shape(running):
    answer = running.http.get("/detector/api/1.8.0/config/count_time").json()
    assert answer == {"value": 0.01, "value_type": "float", "access_mode": "rw", "unit": "s", "min": 1e-5, "max": 3600.0}
    assert running.http.get("/detector/api/1.8.0/config/trigger_mode").json()["allowed_values"] == ["ints", "exte"]


def test_every_listed_key_can_be_read(running):
    for module in ("detector", "stream"):
        keys = running.http.get(f"/{module}/api/1.8.0/config/keys").json()
        assert len(keys) == len(set(keys)) > 4
        for key in keys:
            assert running.http.get(f"/{module}/api/1.8.0/config/{key}").status_code == 200


def test_a_put_answers_what_it_changed(running):
    assert running.put("config/nimages", 10).json() == ["nimages"]
    assert running.put("config/photon_energy", 71000.0).json() == ["photon_energy", "wavelength", "threshold_energy"]
    assert running.get("config/wavelength") == pytest.approx(0.174626, abs=1e-6)
    assert running.put("config/wavelength", running.get("config/wavelength")).json()[0] == "wavelength"
    assert running.get("config/photon_energy") == pytest.approx(71000.0)


def test_a_longer_exposure_lengthens_the_frame_and_a_short_frame_is_refused(running):
    assert running.put("config/count_time", 0.5).json() == ["count_time", "frame_time"]
    assert running.get("config/frame_time") == pytest.approx(0.50095)
    refused = running.put("config/frame_time", 0.5)
    assert refused.status_code == 400
    assert refused.text == "frame_time is 0.5 s: it must hold count_time 0.5 s and readout 0.00095 s, 0.50095 s at least; " + (
        "lower count_time first"
    )
    assert running.get("config/frame_time") == pytest.approx(0.50095)


def test_several_stream_parameters_are_set_in_one_request(running):
    values = {"mode": {"value": "enabled"}, "format": {"value": "legacy"}}
    answer = running.http.put("/stream/api/1.8.0/config", json=values)
    assert answer.json() == ["mode", "format"]
    assert running.get("config/format", module="stream") == "legacy"


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("count_time", "long", "count_time is 'long': it must be a finite number"),
        ("count_time", True, "count_time is 'True': it must be a finite number"),
        ("count_time", -1.0, "count_time is -1.0 s: it must lie in [1e-05, 3600.0]"),
        ("nimages", 0, "nimages is 0: it must lie in [1, 2000000000]"),
        ("nimages", 2.5, "nimages is '2.5': it must be a whole number, not negative"),
        ("trigger_mode", "extx", "trigger_mode is 'extx': it must be one of ints, exte"),
        ("x_pixels_in_detector", 5, "x_pixels_in_detector can only be read"),
        ("pixel_mask", [], "pixel_mask can only be read"),
    ],
)
def test_a_wrong_value_is_refused_in_one_sentence(running, key, value, sentence):
    answer = running.put(f"config/{key}", value)
    assert (answer.status_code, answer.text) == (400, sentence)


@pytest.mark.parametrize(
    "path",
    [
        "/detector/api/1.8.0/config/colour",
        "/detector/api/1.8.0/status/mood",
        "/detector/api/1.6.0/config/nimages",
        "/monitor/api/version",
    ],
)
def test_what_does_not_exist_is_404_with_a_sentence(running, path):
    answer = running.http.get(path)
    assert answer.status_code == 404
    assert answer.text.startswith("no ")


def test_an_unknown_command_is_404_and_names_those_there_are(running):
    answer = running.put("command/explode")
    assert answer.status_code == 404
    assert "arm" in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"3", b'{"val": 1}', b"\xff\xfe", b"[" * 5000])
def test_a_body_that_is_no_value_is_refused(running, body):
    answer = running.http.put("/detector/api/1.8.0/config/nimages", content=body)
    assert answer.status_code == 400
    assert answer.text


def test_a_huge_body_is_refused(running):
    answer = running.http.put("/detector/api/1.8.0/config/nimages", content=b" " * 1_000_001)
    assert answer.status_code == 413


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    key=st.sampled_from(["nimages", "count_time", "frame_time", "wavelength", "compression", "beam_center_x", "roi_mode"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    ),
)
def test_no_value_breaks_the_server_or_the_timing(running, key, value):
    answer = running.http.put(f"/detector/api/1.8.0/config/{key}", content=json.dumps({"value": value}).encode())
    assert answer.status_code in (200, 400, 404)
    assert running.get("config/frame_time") >= running.get("config/count_time") + 0.00095 - 1e-9
    assert running.get("config/photon_energy") * running.get("config/wavelength") == pytest.approx(12398.4198, rel=1e-6)


def test_the_pixel_mask_can_be_fetched(running):
    array = running.get("config/pixel_mask")
    assert array["shape"] == list(SHAPE)
    mask = np.frombuffer(base64.b64decode(array["data"]), array["type"]).reshape(array["shape"])
    assert np.array_equal(mask, small_head().pixel_mask)


def test_initialize_brings_back_the_defaults(running):
    running.configure(nimages=10, count_time=0.3)
    assert running.put("command/initialize").status_code == 200
    assert (running.get("config/nimages"), running.get("config/count_time")) == (1, 0.01)


def test_the_version_is_told(running):
    assert httpx.get(running.server.rest_url + "/detector/api/version").json()["value"] == "1.8.0"
