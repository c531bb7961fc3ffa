import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.preview import Previewer, largest_of_squares
from tests.streaming.fakes import FakeClock, frame_of, measured


@given(rows=st.integers(1, 13), columns=st.integers(1, 13), edge=st.integers(1, 6), seed=st.integers(0, 999))
def test_each_square_shows_its_largest_unmasked_value(rows: int, columns: int, edge: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frame = rng.integers(0, 9, (rows, columns)).astype(np.uint16)
    frame[rng.random(frame.shape) < 0.4] = 65535
    found = largest_of_squares(frame, edge)
    for (row, column), value in np.ndenumerate(found):
        square = frame[row * edge : (row + 1) * edge, column * edge : (column + 1) * edge]
        good = square[square != 65535]
        assert value == (good.max() if good.size else 2**32 - 1)
    assert found.shape == (-(-rows // edge), -(-columns // edge))


def test_previews_come_no_faster_than_asked_for() -> None:
    clock = FakeClock()
    previewer = Previewer(binning=4, interval_s=0.5, clock=clock)
    made = []
    for k in range(20):
        made.append(previewer.preview(frame_of(k), measured(k)))
        clock.pass_s(0.1)
    assert [k for k, preview in enumerate(made) if preview] == [0, 5, 10, 15]
    assert made[5].message.image_id == 5
    assert made[5].image.max() == pytest.approx(5)
