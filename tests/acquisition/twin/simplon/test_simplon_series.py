"""Series: what arm, trigger, gates, disarm and abort do to the stream, and what happens when nobody listens."""

import threading
import time

import numpy as np
import pytest
import zmq

from acquisition.twin.simplon.exposures import FreeRunning, Gated
from tests.acquisition.twin.simplon.rig import SHAPE, NumberedFrames, bench, masked, pulse, small_head, unpacked


@pytest.fixture
def cable():
    socket = zmq.Context.instance().socket(zmq.PUSH)
    socket.linger = 0
    socket.bind("tcp://127.0.0.1:*")
    yield socket
    socket.close()


def address(socket):
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def ids(messages):
    return [message["image_id"] for message in messages if message["type"] == "image"]


def fire(cable, pulses):
    for each in pulses:
        cable.send(each.model_dump_json().encode())


def test_a_trigger_makes_all_images_and_the_series_ends_by_itself():
    with bench() as running:
        running.configure(nimages=5)
        assert running.command("arm") == 1
        running.put("command/trigger")
        messages = running.receive_series()
        running.wait_for_state("idle")
        assert [message["type"] for message in messages] == ["start", *["image"] * 5, "end"]
        assert ids(messages) == [0, 1, 2, 3, 4]
        assert {message["series_unique_id"] for message in messages} == {messages[0]["series_unique_id"]}
        for image_id, message in enumerate(messages[1:-1]):
            assert np.array_equal(unpacked(message["data"]["threshold_1"]), masked(np.full(SHAPE, image_id, np.uint32)))
        assert running.get("status/frames_sent", module="stream") == 5


def test_each_trigger_command_gives_its_images_with_ids_that_go_on():
    with bench() as running:
        running.configure(nimages=2, ntrigger=3)
        running.command("arm")
        for _ in range(3):
            assert running.put("command/trigger").status_code == 200
        assert running.put("command/trigger").status_code == 400
        messages = running.receive_series()
        assert messages[0]["number_of_images"] == 6
        assert ids(messages) == [0, 1, 2, 3, 4, 5]


def test_the_next_series_has_the_next_id_and_another_unique_id():
    with bench() as running:
        assert running.command("arm") == 1
        assert running.command("disarm") == 1
        assert running.command("arm") == 2
        running.command("disarm")
        first, second = running.receive_series(), running.receive_series()
        assert (first[-1]["series_id"], second[-1]["series_id"]) == (1, 2)
        assert first[0]["series_unique_id"] < second[0]["series_unique_id"]


def test_arming_twice_triggering_idle_and_changing_an_armed_detector_are_refused():
    with bench() as running:
        assert running.put("command/trigger").status_code == 400
        running.command("arm")
        assert (
            running.put("command/arm").text == "the detector is in state ready, only an idle one can be armed: disarm it first"
        )
        assert running.put("config/nimages", 3).status_code == 400
        running.command("disarm")
        assert running.put("config/nimages", 3).status_code == 200


def test_of_many_arms_at_once_one_wins():
    with bench() as running:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(running.put("command/arm").status_code)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [200, 400, 400, 400, 400, 400]
        running.command("abort")
        assert ids(running.receive_series()) == []
        assert running.is_silent()


def test_one_image_for_each_gate_until_there_are_enough(cable):
    with bench(cable=address(cable)) as running:
        running.configure(trigger_mode="exte", ntrigger=4)
        running.command("arm")
        fire(cable, [pulse(n) for n in range(7)])
        messages = running.receive_series()
        assert ids(messages) == [0, 1, 2, 3]
        frames = [unpacked(message["data"]["threshold_1"]) for message in messages[1:-1]]
        assert [int(frame[1, 1]) for frame in frames] == [0, 1, 2, 3]
        assert [message["start_time"][0] // 50_000_000 for message in messages[1:-1]] == [0, 0, 0, 0]
        assert running.is_silent()
        running.wait_until("status/pulses_ignored", 3)


def test_image_times_follow_the_gates():
    gate_s = 1_770_000_000.0
    with bench() as running:
        running.configure(trigger_mode="exte", ntrigger=3)
        running.server.detector._now = lambda: gate_s
        running.command("arm")
        for number in range(3):
            running.server.detector.take(pulse(number, time_s=gate_s + 1 + 0.02 * number))
        images = running.receive_series()[1:-1]
        starts_s = [image["start_time"][0] / image["start_time"][1] for image in images]
        assert starts_s == pytest.approx([0.0, 0.02, 0.04], abs=1e-6)
        assert {image["real_time"][0] / image["real_time"][1] for image in images} == {0.01}
        assert images[0]["series_date"] == "2026-02-02T02:40:00.995+00:00"


def test_gates_while_disarmed_or_from_before_arming_make_no_image(cable):
    with bench(cable=address(cable)) as running:
        running.configure(trigger_mode="exte", ntrigger=2)
        fire(cable, [pulse(0), pulse(1)])
        running.wait_until("status/pulses_ignored", 2)
        running.command("arm")
        fire(cable, [pulse(2, time_s=time.time() - 5), pulse(3), pulse(4)])
        frames = [unpacked(message["data"]["threshold_1"]) for message in running.receive_series()[1:-1]]
        assert [int(frame[1, 1]) for frame in frames] == [3, 4]


def test_abort_in_mid_series_ends_it_and_no_stale_gate_enters_the_next(cable):
    with bench(cable=address(cable)) as running:
        running.configure(trigger_mode="exte", ntrigger=50)
        running.command("arm")
        fire(cable, [pulse(n) for n in range(10)])
        running.wait_until("status/images", 10)
        assert running.get("status/state") == "acquire"
        assert running.command("abort") == 1
        fire(cable, [pulse(n) for n in range(10, 20)])
        aborted = running.receive_series()
        running.wait_until("status/pulses_ignored", 10)
        assert ids(aborted) == list(range(len(ids(aborted))))
        assert running.command("arm") == 2
        fire(cable, [pulse(77)])
        start, image = running.receive(), running.receive()
        assert (start["series_id"], image["series_id"], image["image_id"]) == (2, 2, 0)
        assert unpacked(image["data"]["threshold_1"])[1, 1] == 77


def test_disarm_lets_the_gates_that_came_become_images():
    with bench() as running:
        running.configure(trigger_mode="exte", ntrigger=50)
        running.command("arm")
        for number in range(6):
            running.server.detector.take(pulse(number))
        assert running.command("disarm") == 1
        assert ids(running.receive_series()) == [0, 1, 2, 3, 4, 5]
        assert running.get("status/state") == "idle"


def test_disarm_of_a_slow_train_does_not_wait_for_it():
    with bench(is_paced=True) as running:
        running.configure(nimages=1000, count_time=100.0)
        running.command("arm")
        running.put("command/trigger")
        begun = time.monotonic()
        running.command("disarm")
        assert time.monotonic() - begun < 20
        assert ids(running.receive_series()) == []


def test_no_receiver_means_dropped_images_that_are_counted_and_bounded_waiting():
    with bench(patience_s=0.05, n_queued=4) as running:
        running.pull.close()
        time.sleep(0.05)
        running.configure(nimages=300)
        running.command("arm")
        running.put("command/trigger")
        running.wait_for_state("idle")
        assert running.get("status/dropped", module="stream") + running.get("status/frames_sent", module="stream") == 300
        assert running.get("status/dropped", module="stream") > 200


def test_a_receiver_that_pauses_within_the_patience_loses_nothing():
    with bench(patience_s=20.0, n_queued=2) as running:
        running.configure(nimages=40)
        running.command("arm")
        running.put("command/trigger")
        time.sleep(0.3)
        assert ids(running.receive_series()) == list(range(40))
        assert running.get("status/dropped", module="stream") == 0


class FailingFrames(NumberedFrames):
    """A source whose third frame cannot be read."""

    def frame(self, pulse, image_id):
        if image_id == 2:
            raise OSError("the disk has gone")
        return super().frame(pulse, image_id)


def test_a_frame_that_cannot_be_made_costs_its_own_image_only():
    with bench(source=FailingFrames()) as running:
        running.configure(nimages=5)
        running.command("arm")
        running.put("command/trigger")
        assert ids(running.receive_series()) == [0, 1, 3, 4]
        assert running.get("status/dropped", module="stream") == 1


def test_a_disabled_stream_sends_nothing_but_the_series_runs():
    with bench() as running:
        running.put("config/mode", "disabled", module="stream")
        running.configure(nimages=3)
        running.command("arm")
        running.put("command/trigger")
        running.wait_for_state("idle")
        assert running.is_silent()
        assert running.get("status/frames_sent", module="stream") == 0


def test_a_gate_within_the_readout_of_the_last_is_missed():
    gates = Gated(n_images=3, armed_s=100.0, readout_s=0.95e-3)
    assert gates.offer(pulse(0, time_s=101.0))
    assert not gates.offer(pulse(1, time_s=101.0105))
    assert gates.offer(pulse(2, time_s=101.022))
    assert gates.offer(pulse(3, time_s=101.03295))
    assert not gates.offer(pulse(4, time_s=102.0))
    assert [exposure.pulse.number for exposure in gates] == [0, 2, 3]


def test_a_free_running_train_keeps_its_frame_time():
    train = FreeRunning(n_triggers=1, n_images=4, frame_time_s=0.03, count_time_s=0.01, is_paced=True)
    train.trigger()
    begun = time.time()
    exposures = list(train)
    assert time.time() - begun >= 3 * 0.03
    assert np.diff([exposure.start_s for exposure in exposures]) == pytest.approx(0.03, abs=1e-6)


def test_small_head_masks_what_its_mask_says():
    assert masked(np.zeros(SHAPE, np.uint32)).astype(bool).sum() == (small_head().pixel_mask != 0).sum()
