"""Messages that mean harm or come from broken senders, each by name; their images carry an id of their own."""

import struct
from collections.abc import Sequence

import numpy as np
from cbor2 import CBORTag

from tests.streaming.fakes import LIMIT_BYTES, SHAPE, frame_of
from tests.streaming.wire import TAGS, bslz4, tagged_array, v1_image, v2, v2_end, v2_image, v2_start

FRAME = frame_of(3)
BLOB = bslz4(FRAME)
ID = 9_000_000


def image(blob: bytes = BLOB, *, shape: Sequence[int] = SHAPE, tag: int = 70, algorithm: str = "bslz4", size: int = 4) -> bytes:
    content = CBORTag(56500, [algorithm, size, blob])
    return v2_image(ID, FRAME, data={"threshold_1": CBORTag(40, [list(shape), CBORTag(tag, content)])})


def headed(n_bytes: int, block_bytes: int) -> bytes:
    return struct.pack(">QI", n_bytes, block_bytes) + BLOB[12:]


V1 = v1_image(ID, FRAME)

CORPUS: dict[str, bytes | list[bytes]] = {
    "nothing": b"",
    "noise": np.random.default_rng(0).bytes(5000),
    "zeros": bytes(5000),
    "truncated image": v2_image(ID, FRAME)[:-100],
    "truncated in the header": v2_image(ID, FRAME)[:20],
    "truncated start": v2_start()[:-3],
    "image with bytes behind it": v2_image(ID, FRAME) + b"more",
    "nested arrays": b"\xd9\xd9\xf7" + b"\x81" * 100_000,
    "nested tags": b"\xd9\xd9\xf7" + b"\xd8\x28" * 100_000 + b"\x01",
    "nested maps": b"\xa1\x61a" * 100_000,
    "a million empty arrays": b"\x9a" + (10**6).to_bytes(4, "big") + b"\x80" * 10**6,
    "array of 2^60": b"\x9b" + (2**60).to_bytes(8, "big"),
    "string of 2^60": b"\x5b" + (2**60).to_bytes(8, "big"),
    "map of 2^60": b"\xbb" + (2**60).to_bytes(8, "big"),
    "indefinite map": b"\xbf" + b"\x61a\x01" * 10 + b"\xff",
    "huge dimensions": image(shape=(2**31, 2**31)),
    "dimensions of zero": image(shape=(0, 30)),
    "negative dimensions": image(shape=(-20, 30)),
    "three dimensions": image(shape=(1, 20, 30)),
    "more rows than the blob": image(shape=(21, 30)),
    "transposed": image(shape=SHAPE[::-1]),
    "wrong element size": image(size=2),
    "element size of zero": image(size=0),
    "huge element size": image(size=2**62),
    "negative element size": image(size=-4),
    "wrong type of element": image(tag=TAGS["uint16"]),
    "floats": image(tag=TAGS["float32"]),
    "signed": image(tag=78),
    "undefined tag": image(tag=76),
    "unknown algorithm": image(algorithm="zstd"),
    "lz4 that is not": image(b"\xff" * 200, algorithm="lz4"),
    "blob of noise": image(np.random.default_rng(1).bytes(len(BLOB))),
    "blob of nothing": image(b""),
    "blob cut off": image(BLOB[:-5]),
    "blob cut to its header": image(BLOB[:12]),
    "header says 2^60": image(headed(2**60, 8192)),
    "header says blocks of 2^31": image(headed(FRAME.nbytes, 2**31)),
    "header says odd blocks": image(headed(FRAME.nbytes, 8191)),
    "block says 4 GB": image(BLOB[:12] + b"\xff\xff\xff\xff" + BLOB[16:]),
    "no channel": v2_image(ID, FRAME, data={}),
    "a thousand channels": v2_image(ID, FRAME, data={str(k): b"" for k in range(1000)}),
    "channel is a text": v2_image(ID, FRAME, data={"threshold_1": "image"}),
    "image id is a text": v2_image(ID, FRAME, image_id="12"),
    "image id is negative": v2_image(ID, FRAME, image_id=-1),
    "image id is huge": v2_image(ID, FRAME, image_id=2**64),
    "image id that no message may hold": v2_image(2**60, FRAME),
    "series that no message may hold": v2_image(ID, FRAME, series=2**60),
    "start of a series that no message may hold": v2_start(series=2**60),
    "V1 image id that no message may hold": v1_image(2**60, FRAME),
    "image id is a float": v2_image(ID, FRAME, image_id=1.5),
    "series is a list": v2_image(ID, FRAME, series_id=[1]),
    "no type": v2({"series_id": 1, "image_id": ID}),
    "unknown type": v2({"type": "pause", "series_id": 1}),
    "list instead of a map": v2(dict(enumerate([1, 2]))),
    "geometry of NaN": v2_start(series=66, pixel_size_x=float("nan")),
    "energy of infinity": v2_start(series=66, incident_energy=float("inf")),
    "start with a shape of texts": v2_start(series=66, image_size_x="30"),
    "start of another detector": v2_start(series=66, shape=(4362, 4148)),
    "start with a torn mask": v2_start(series=66, pixel_mask={"threshold_1": CBORTag(40, [list(SHAPE), CBORTag(70, b"abc")])}),
    "mask of another shape": v2_start(series=66, pixel_mask={"threshold_1": tagged_array(np.zeros((2, 2), np.uint32))}),
    "arm date of the far future": v2_start(series=66, arm_date=CBORTag(0, "99999-12-31T23:59:59Z")),
    "date of the far future": v2_image(ID, FRAME, series=66, series_date=CBORTag(1, 1e300)),
    "a regular expression": v2_start(series=66, user_data=CBORTag(35, "(a+)+$")),
    "a shared reference to itself": v2_start(series=66, user_data=CBORTag(29, 0)),
    "end of a series never seen": v2_end(series=77),
    "oversized": bytes(LIMIT_BYTES + 1),
    "V1 that is not JSON": [b"{nothing", b"{}", b""],
    "V1 nested": [b'{"a":' * 50_000, b"{}", b""],
    "V1 image without its blob": V1[:2],
    "V1 image with a torn blob": [*V1[:2], V1[2][:100], *V1[3:]],
    "V1 image that claims another shape": [V1[0], V1[1].replace(b"[30, 20]", b"[31, 20]"), *V1[2:]],
    "V1 image with a huge shape": [V1[0], V1[1].replace(b"[30, 20]", b"[99999999999, 20]"), *V1[2:]],
    "V1 of many parts": [b"{}"] * 1000,
    "V2 in two parts": [v2_image(ID, FRAME), b""],
    "no parts": [],
}
