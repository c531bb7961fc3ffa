import numpy as np

from acquisition.twin.prepared import prepare
from acquisition.twin.simplon.bslz4 import pack
from acquisition.twin.simplon.frames import Masked, PackedSource
from operando.profile import read_profile


def test_prepared_frames_are_distinct_and_packed_as_they_are() -> None:
    prepared = prepare(read_profile("sign-test"), n_frames=6)
    packed = [prepared.packed(None, number, "bslz4") for number in range(6)]

    assert len({one.blob for one in packed if one is not None}) == 6
    assert packed[2] == pack(prepared.frame(None, 2), "bslz4")
    assert prepared.packed(None, 8, "bslz4") == packed[2]
    assert prepared.packed(None, 0, "lz4") is None


def test_a_masked_source_passes_packed_frames_on() -> None:
    prepared = prepare(read_profile("sign-test"), n_frames=1)
    masked = Masked(prepared, np.zeros((1679, 1475), dtype=np.uint32))

    assert isinstance(masked, PackedSource)
    assert masked.packed(None, 0, "bslz4") == prepared.packed(None, 0, "bslz4")
