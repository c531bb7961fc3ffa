"""The detector device against a SIMPLON server that runs, with its stream taken: series, images, documents, refusals."""

import threading
import time

import bluesky.plan_stubs as bps
import numpy as np
import pytest
import zmq
from bluesky import RunEngine

from acquisition.devices.detector import Exposure, SimplonDetector
from acquisition.twin.cable import Pulse
from acquisition.twin.simplon.pilatus import DetectorHead
from acquisition.twin.simplon.server import SimplonServer
from operando.errors import ServiceError
from operando.profile import Detector

EXPOSURE = Exposure(exposure_s=0.02, period_s=0.03, n_images=6)


class Blank:
    def frame(self, pulse, image_id):
        return np.full((16, 24), image_id, dtype=np.uint32)


@pytest.fixture(scope="module")
def server():
    head = DetectorHead(pixel_mask=np.zeros((16, 24), dtype=np.uint32))
    with SimplonServer(head=head, source=Blank()) as running:
        stop = threading.Event()
        taker = threading.Thread(target=take_all, args=(running.stream_address, stop))
        taker.start()
        yield running
        stop.set()
        taker.join()


def take_all(address, stop):
    socket = zmq.Context.instance().socket(zmq.PULL)
    socket.connect(address)
    while not stop.is_set():
        if socket.poll(20):
            socket.recv_multipart()
    socket.close(linger=0)


def device_of(rest, stream="tcp://127.0.0.1:9999", **options):
    described = {"model": "Pilatus CdTe 2M", "n_rows": 16, "n_columns": 24, "pixel_m": 172e-6, "readout_s": 0.95e-3}
    return SimplonDetector(name="detector", detector=Detector(**described, rest=rest, stream=stream), **options)


@pytest.fixture
def detector(server):
    device = device_of(server.rest_url, server.stream_address)
    yield device
    device.stop()
    device.client.close()


def give_pulses(server, n_pulses):
    for number in range(n_pulses):
        now_s = time.time()
        server.detector.take(Pulse(number=number, time_s=now_s, exposure_s=0.001, fast_mm=0.0, angle_deg=0.0, beam=1.0))
        time.sleep(0.003)


def arm(detector, exposure=EXPOSURE):
    detector.prepare(exposure).wait(10)
    detector.kickoff().wait(10)
    return detector.series.get()


def test_arming_gives_the_next_series_and_its_images_are_counted_from_zero(detector, server):
    first = arm(detector)
    assert detector.images_sent() == 0
    give_pulses(server, 4)
    detector.wait_for_images(4, timeout_s=10).wait(15)
    detector.disarm().wait(10)
    second = arm(detector)
    assert second == first + 1
    assert detector.images_sent() == 0


def test_a_whole_series_completes_by_itself(detector, server):
    arm(detector)
    status = detector.complete()
    give_pulses(server, EXPOSURE.n_images)
    status.wait(10)
    assert detector.images_sent() == EXPOSURE.n_images


def test_a_period_that_leaves_no_time_for_the_readout_is_refused(detector):
    status = detector.prepare(Exposure(exposure_s=0.02, period_s=0.0205, n_images=1))
    with pytest.raises(ValueError, match="lengthen the period"):
        status.wait(10)


@pytest.mark.parametrize("times", [(0.5, 0.6), (0.001, 0.002), (0.2, 0.201)])
def test_any_exposure_can_follow_any_other(detector, times):
    exposure_s, period_s = times
    detector.prepare(Exposure(exposure_s=exposure_s, period_s=period_s, n_images=1)).wait(10)
    assert detector.client.config("count_time") == pytest.approx(exposure_s)
    assert detector.client.config("frame_time") == pytest.approx(period_s)


def test_a_series_that_someone_else_ends_fails_the_wait_with_found_and_wanted(detector, server):
    arm(detector)
    give_pulses(server, 2)
    status = detector.wait_for_images(6, timeout_s=10)
    time.sleep(0.1)
    server.detector.abort()
    with pytest.raises(RuntimeError, match="has 2 images, wanted 6"):
        status.wait(10)


def test_images_that_never_come_end_the_wait_in_time(detector):
    arm(detector)
    with pytest.raises(TimeoutError, match="has 0 images, wanted 1"):
        detector.wait_for_images(1, timeout_s=0.2).wait(10)


def test_a_pause_ends_the_series_without_failing_the_wait(detector, server):
    arm(detector)
    status = detector.complete()
    detector.pause()
    status.wait(10)
    assert server.detector.state == "idle"


def test_an_internal_series_runs_on_one_trigger(detector):
    arm(detector, Exposure(exposure_s=0.001, period_s=0.002, n_images=5, trigger_mode="ints"))
    detector.trigger().wait(10)
    detector.complete().wait(10)


def test_frames_are_documented_as_a_stream_of_each_series(detector, server):
    documents = []

    def plan():
        yield from bps.open_run()
        yield from bps.declare_stream(detector, name="frames", collect=True)
        for _ in range(2):
            yield from bps.prepare(detector, EXPOSURE, wait=True)
            yield from bps.kickoff(detector, wait=True)
            give_pulses(server, EXPOSURE.n_images)
            yield from bps.complete(detector, wait=True)
            yield from bps.collect(detector, name="frames")
        yield from bps.close_run()

    RunEngine({}, context_managers=[])(plan(), lambda name, document: documents.append((name, document)))
    resources = [document for name, document in documents if name == "stream_resource"]
    data = [document for name, document in documents if name == "stream_datum"]
    assert [r["parameters"]["series"] for r in resources] == [detector.series.get() - 1, detector.series.get()]
    assert [(d["indices"]["start"], d["indices"]["stop"]) for d in data] == [(0, 6), (0, 6)]
    assert [d["stream_resource"] for d in data] == [r["uid"] for r in resources]
    assert [(d["seq_nums"]["start"], d["seq_nums"]["stop"]) for d in data] == [(1, 7), (7, 13)]


def test_a_detector_that_was_left_armed_is_made_idle_first(detector, server):
    server.detector.arm()
    arm(detector)
    assert server.detector.state == "ready"


def test_a_detector_that_died_in_mid_series_is_armed_when_it_is_back(tmp_path):
    head = DetectorHead(pixel_mask=np.zeros((16, 24), dtype=np.uint32))
    life = {"head": head, "source": Blank(), "ledger_path": tmp_path / "ledger"}
    first = SimplonServer(**life)
    device = device_of(first.rest_url, first.stream_address)
    device.prepare(EXPOSURE).wait(10)
    device.kickoff().wait(10)
    first.close()
    device.stop()
    preparing = device.prepare(EXPOSURE)
    time.sleep(0.2)
    assert not preparing.done
    with SimplonServer(**life, rest=first.rest_url):
        preparing.wait(20)
        device.kickoff().wait(10)
        assert device.series.get() == 2
        device.stop()
    device.client.close()


def test_a_missing_detector_costs_nothing_until_it_is_used():
    detector = device_of("http://127.0.0.1:9", back_s=0.0)
    detector.stop()
    with pytest.raises(ServiceError, match="does not answer"):
        detector.prepare(EXPOSURE).wait(10)


def test_the_detectors_own_sentence_is_in_the_error(detector):
    with pytest.raises(ServiceError, match="404"):
        detector.client.configure("no_such_key", 1)
