"""Images of CBF files as Pilatus detectors write them: gives the compressed bytes as they are; workers decode them.

A file counts when its binary section is as long as announced, closed by its boundary, and has the checksum that the header
names: a share may show the size of a file before its content.
"""

import base64
import hashlib
import re
from pathlib import Path

import numpy as np

from operando.errors import DataError, WireError
from streaming.detector_message import Channel, checked_shape
from streaming.integrate.geometry import HC_KEV_ANGSTROM
from streaming.sources.frame_file import Facts, FileFrame, FileFrames, UnfinishedFileError

_START = b"\x0c\x1a\x04\xd5"
_END = b"--CIF-BINARY-FORMAT-SECTION----"
_FIRST = b"###CBF"
_MAX_HEADER_BYTES = 1024 * 1024
_FIELD = re.compile(r"^(X-Binary-[\w-]+|Content-MD5):\s*\"?([^\"\r\n]+?)\"?\s*$", re.MULTILINE)
_CONVERSIONS = re.compile(r'conversions="([^"]+)"')
_PIXEL = re.compile(r"#\s*Pixel_size\s+([\d.eE+-]+)\s*m?\s*x\s*([\d.eE+-]+)")
_WAVELENGTH = re.compile(r"#\s*Wavelength\s+([\d.eE+-]+)\s*A")
_DETECTOR = re.compile(r"#\s*Detector:\s*([^\r\n]+)")


class CbfFiles:
    """Reads CBF files of one image."""

    def read(self, path: Path, *, skip: int) -> FileFrames:
        """Give the image of a file.

        Raises
        ------
        UnfinishedFileError
            If the file is not whole yet.
        DataError
            If it is not a CBF file with byte offset compression.
        """
        try:
            content = path.read_bytes()
        except OSError as locked:
            raise UnfinishedFileError(str(locked)) from locked
        return FileFrames(frames=[frame_from_cbf(content)], is_finished=True)


def frame_from_cbf(content: bytes) -> FileFrame:
    """Give the image of a CBF file's content; raises as :meth:`CbfFiles.read`."""
    begin = content.find(_START, 0, _MAX_HEADER_BYTES)
    if begin < 0:
        if len(content) >= _MAX_HEADER_BYTES or not _FIRST.startswith(content[: len(_FIRST)].rstrip(b"\0")):
            raise DataError("it does not begin as a CBF file does")
        raise UnfinishedFileError("the header is not whole")
    header = content[:begin].decode("latin-1")
    fields = dict(_FIELD.findall(header))
    try:
        n_bytes = int(fields["X-Binary-Size"])
        shape = checked_shape((int(fields["X-Binary-Size-Second-Dimension"]), int(fields["X-Binary-Size-Fastest-Dimension"])))
    except (KeyError, ValueError, WireError) as wrong:
        raise DataError(f"its binary section is not described: {wrong}") from wrong
    conversions = _CONVERSIONS.search(header)
    if conversions is None or conversions[1] != "x-CBF_BYTE_OFFSET":
        raise DataError(f"found compression {conversions[1] if conversions else 'none'}, wanted x-CBF_BYTE_OFFSET")
    blob = content[begin + len(_START) : begin + len(_START) + n_bytes]
    _check_whole(blob, n_bytes, content[begin + len(_START) + n_bytes :], md5=fields.get("Content-MD5"))
    channel = Channel(shape=shape, dtype=np.dtype(np.uint32), encoding="byte-offset", element_size=4, blob=blob)
    return FileFrame(index=0, channel=channel, facts=_facts(header, shape))


def _check_whole(blob: bytes, n_bytes: int, rest: bytes, *, md5: str | None) -> None:
    if len(blob) < n_bytes or _END not in rest:
        raise UnfinishedFileError(f"{len(blob)} of {n_bytes} bytes are there")
    if md5 is not None and base64.b64encode(hashlib.md5(blob, usedforsecurity=False).digest()).decode() != md5.strip():
        raise UnfinishedFileError("the checksum is not that of the header")


def _facts(header: str, shape: tuple[int, int]) -> Facts:
    pixel, wavelength, detector = _PIXEL.search(header), _WAVELENGTH.search(header), _DETECTOR.search(header)
    wavelength_angstrom = float(wavelength[1]) if wavelength else 0.0
    return Facts(
        shape=shape,
        # Width before height.
        pixel_m=(float(pixel[2]), float(pixel[1])) if pixel else None,
        energy_ev=1e3 * HC_KEV_ANGSTROM / wavelength_angstrom if wavelength_angstrom > 0 else None,
        description=detector[1].strip() if detector else "",
    )
