import numpy as np
import pytest

from streaming.account import SeriesKey
from streaming.detector_message import Channel
from streaming.events import Ended, Rejected, Started, Unstarted
from streaming.intake import Intake, SeriesIntegrator
from streaming.measured import Measured
from streaming.receive import Received
from tests.streaming.fakes import EXPECTED, LIMIT_BYTES, SHAPE, FakeIntegrator, Rig, frame_of, integrator_of_mask
from tests.streaming.wire import tagged_array, v1_end, v1_image, v1_start, v2_end, v2_image, v2_start


@pytest.fixture
def rig(tmp_path) -> Rig:
    return Rig(tmp_path)


def value(event: object) -> float:
    assert isinstance(event, Measured)
    return float(event.pattern.mean[0])


def test_a_series_of_v2_gives_patterns_in_its_name(rig: Rig) -> None:
    started, first, second, ended = rig.receive(v2_start(), v2_image(7, frame_of(7)), v2_image(8, frame_of(8)), v2_end())
    key = SeriesKey(series=1, unique_id="A")
    assert started == Started(series=key)
    assert (first.frame.series, first.frame.image_id, value(first)) == (key, 7, 7.0)
    assert value(second) == 8.0
    assert ended == Ended(series=key)


def test_a_series_of_v1_gives_the_same_patterns(rig: Rig) -> None:
    _, image, _ = rig.receive(v1_start(), v1_image(7, frame_of(7)), v1_end())
    assert (image.frame.image_id, value(image)) == (7, 7.0)


def test_images_whose_start_was_missed_are_measured_and_said_so_once(rig: Rig) -> None:
    unstarted, *images = rig.receive(v2_image(5, frame_of(5)), v2_image(6, frame_of(6)))
    assert unstarted == Unstarted(series=SeriesKey(series=1, unique_id="A"))
    assert [value(image) for image in images] == [5.0, 6.0]


def test_the_mask_of_the_stream_is_used_for_its_own_series(rig: Rig) -> None:
    mask = np.zeros(SHAPE, np.uint32)
    mask[7, 7] = 4
    masked = v2_start(pixel_mask={"threshold_1": tagged_array(mask)})
    _, image, _, other = rig.receive(masked, v2_image(7, frame_of(7)), v2_start(uid="B"), v2_image(7, frame_of(7), uid="B"))
    assert (value(image), image.geometry_sha256) == (0.0, "masked")
    assert (value(other), other.geometry_sha256) == (7.0, "plain")


def test_the_first_listed_channel_is_measured(rig: Rig) -> None:
    data = {"low": tagged_array(frame_of(3)), "high": tagged_array(frame_of(9))}
    image = rig.receive(v2_start(channels=["high", "low"]), v2_image(0, frame_of(0), data=data))[1]
    assert value(image) == 9.0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"shape": (30, 20)}, "the detector sends 30 x 20 pixels, the profile has 20 x 30"),
        ({"pixel_size_x": 75e-6}, "pixels of 172 x 75 um, the profile 172 um"),
        ({"incident_energy": 104_000.0}, "set to 104000 eV, the geometry was calibrated at 103500 eV"),
        ({"incident_energy": float("nan")}, "set to nan eV"),
        ({"pixel_size_y": float("inf")}, "pixels of inf"),
        ({"pixel_mask": {"threshold_1": tagged_array(np.zeros((3, 4), np.uint32))}}, "pixel mask has shape"),
    ],
)
def test_images_of_another_detector_are_rejected_with_the_reason(rig: Rig, changes: dict, complaint: str) -> None:
    started, image, *good = rig.receive(
        v2_start(**changes), v2_image(0, frame_of(0)), v2_start(uid="B"), v2_image(1, frame_of(1), uid="B")
    )
    assert complaint in started.complaint
    assert isinstance(image, Rejected)
    assert (image.reason, image.detail) == ("another detector", started.complaint)
    assert value(good[1]) == 1.0


def test_an_energy_within_a_thousandth_is_the_same(rig: Rig) -> None:
    (started,) = rig.receive(v2_start(incident_energy=103_600.0))
    assert started.complaint == ""


def test_eight_bits_become_sixteen_with_their_mask(rig: Rig) -> None:
    frame = frame_of(9).astype(np.uint8)
    frame[0, 0] = 255
    image = rig.receive(v2_image(0, frame))[1]
    assert value(image) == 9.0


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.zeros((5, 6), np.uint32), "image of another shape"),
        (np.zeros(SHAPE, np.float32), "image of another type"),
    ],
)
def test_an_image_that_cannot_be_measured_is_counted_by_reason(rig: Rig, frame: np.ndarray, reason: str) -> None:
    events = rig.receive(v2_start(), v2_image(0, frame), v2_image(1, frame_of(1)))
    assert events[1].reason == reason
    assert value(events[2]) == 1.0


def test_a_message_over_the_limit_is_not_read(rig: Rig) -> None:
    (event,) = rig.receive(bytes(LIMIT_BYTES + 1))
    assert event.reason == "oversized message"


def test_an_error_of_our_own_is_contained() -> None:
    class Broken(FakeIntegrator):
        def integrate(self, frame: object) -> object:
            raise ZeroDivisionError("so it goes")

    broken = SeriesIntegrator(integrator=Broken(), geometry_sha256="")
    intake = Intake(EXPECTED, lambda mask: broken, limit_bytes=LIMIT_BYTES)
    _, job = intake.read(Received(parts=(v2_image(0, frame_of(0)),), received_s=0.0))
    (event,) = intake.measure(job)
    assert (event.reason, event.detail) == ("internal error", "ZeroDivisionError('so it goes')")


def test_a_preview_that_fails_costs_no_pattern() -> None:
    class Broken:
        def preview(self, frame: object, measured: object) -> object:
            raise ZeroDivisionError("so it goes")

    intake = Intake(EXPECTED, integrator_of_mask, limit_bytes=LIMIT_BYTES, previewers=[Broken()])
    _, job = intake.read(Received(parts=(v2_image(7, frame_of(7)),), received_s=0.0))
    image, error = intake.measure(job)
    assert value(image) == 7.0
    assert error.reason == "internal error"


def test_images_behind_a_start_never_see_the_integrator_before_it() -> None:
    intake = Intake(EXPECTED, integrator_of_mask, limit_bytes=LIMIT_BYTES)
    mask = np.ones(SHAPE, np.uint32)
    early = intake.read(Received(parts=(v2_image(0, frame_of(5)),), received_s=0.0))[1]
    intake.read(Received(parts=(v2_start(pixel_mask={"threshold_1": tagged_array(mask)}),), received_s=0.0))
    late = intake.read(Received(parts=(v2_image(1, frame_of(5)),), received_s=0.0))[1]
    assert [value(intake.measure(job)[0]) for job in (early, late)] == [5.0, 0.0]
    assert isinstance(late.channel, Channel)
