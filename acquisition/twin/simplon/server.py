"""The detector process: REST, stream and trigger cable around one detector."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal
from urllib.parse import urlsplit

import numpy as np
import structlog
import uvicorn

from acquisition.twin.camera import read_camera
from acquisition.twin.simplon.cable import CableListener
from acquisition.twin.simplon.detector import Detector
from acquisition.twin.simplon.file_frames import FileFrames
from acquisition.twin.simplon.frames import FrameSource
from acquisition.twin.simplon.ledger import Ledger
from acquisition.twin.simplon.pilatus import DetectorHead, mask_from_frame
from acquisition.twin.simplon.rest import RestInterface
from acquisition.twin.simplon.sender import Sender
from operando.errors import ProfileError, ServiceError
from operando.profile import Profile

logger = structlog.get_logger(__name__)

LOOPBACK_REST = "http://127.0.0.1:0"
LOOPBACK_STREAM = "tcp://127.0.0.1:*"


class SimplonServer:
    """A detector on the network until closed; port 0 and ``*`` pick free ones.

    Parameters
    ----------
    head, source
        What the detector is and what it sees.
    rest, stream
        Where REST and stream are served; :attr:`rest_url` and :attr:`stream_address` tell where they are.
    stream_format
        V2 (CBOR) or V1 (JSON and blobs) until a client asks for the other.
    cable
        Where gate pulses come from; None for a detector without a cable.
    wavelength_angstrom
        What the configuration says until a client knows better.
    is_paced
        Whether free-running images keep the frame time; without, they come as fast as they can be made.
    ledger_path
        Where the number of the last series is kept over restarts.
    n_queued, patience_s
        See :class:`acquisition.twin.simplon.sender.Sender`.

    Raises
    ------
    ServiceError
        If a port is taken.
    """

    def __init__(
        self,
        *,
        head: DetectorHead,
        source: FrameSource,
        rest: str = LOOPBACK_REST,
        stream: str = LOOPBACK_STREAM,
        stream_format: Literal["v2", "v1"] = "v2",
        cable: str | None = None,
        wavelength_angstrom: float = 1.0,
        is_paced: bool = True,
        ledger_path: Path | None = None,
        n_queued: int = 64,
        patience_s: float = 2.0,
    ) -> None:
        ledger = Ledger(ledger_path)
        listening = _listening(rest)
        try:
            sender = Sender(stream, n_queued=n_queued, patience_s=patience_s)
        except ServiceError:
            listening.close()
            raise
        self.detector = Detector(
            head=head,
            source=source,
            sender=sender,
            ledger=ledger,
            stream_format="cbor" if stream_format == "v2" else "legacy",
            wavelength_angstrom=wavelength_angstrom,
            is_paced=is_paced,
        )
        self.detector.initialize()
        self.stream_address = sender.address
        host, port = listening.getsockname()[:2]
        self.rest_url = f"http://{host}:{port}"
        self._rest = _serve_rest(self.detector, listening)
        self._cable = None if cable is None else CableListener(cable, self.detector.take)
        logger.info("detector serves", rest=self.rest_url, stream=self.stream_address, shape=head.shape)

    def close(self) -> None:
        """End a running series, stop serving and free the ports."""
        if self._cable is not None:
            self._cable.close()
        server, thread = self._rest
        server.should_exit = True
        thread.join(timeout=5)
        self.detector.close()
        sender = self.detector.sender
        logger.info("detector stops", frames_sent=sender.n_images_sent, dropped=sender.n_images_dropped)

    def __enter__(self) -> "SimplonServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def serve(profile: Profile, *, out: Path, ready: Callable[[], None], stop: threading.Event) -> None:
    """Be the detector of a profile with a twin until ``stop`` is set; the sample's truth goes to ``out/truth.h5``.

    Raises
    ------
    ProfileError
        If the profile has no twin: its detector is a real one.
    ServiceError
        If a port is taken.
    """
    if profile.twin is None:
        raise ProfileError(
            f"{profile.name}: its detector at {profile.detector.rest} is a real one, there is nothing to simulate"
        )
    # Here: they are heavy, and a server of files must not need them.
    from acquisition.twin import sample
    from acquisition.twin.live_truth import LiveTruth

    camera = read_camera(
        profile.path(profile.geometry.poni),
        pixel_m=profile.detector.pixel_m,
        n_rows=profile.detector.n_rows,
        n_columns=profile.detector.n_columns,
    )

    source = sample.make_frame_source(profile, out=out)
    shown: FrameSource = source
    if profile.twin.prepared_frames > 0:
        from acquisition.twin.prepared import prepare  # Here, as above.

        shown = prepare(profile, n_frames=profile.twin.prepared_frames)
    head = head_of_profile(profile, pixel_mask=sample.pixel_mask(profile))
    with (
        LiveTruth(source, out / "truth.h5", now_s=time.time()),
        SimplonServer(
            head=head,
            source=shown,
            rest=profile.detector.rest,
            stream=profile.detector.stream,
            stream_format=profile.detector.stream_format,
            cable=profile.twin.cable,
            wavelength_angstrom=camera.wavelength_angstrom,
            ledger_path=out / "detector-series",
        ),
    ):
        ready()
        stop.wait()


def make_file_server(
    paths: Sequence[Path],
    *,
    rest: str = LOOPBACK_REST,
    stream: str = LOOPBACK_STREAM,
    stream_format: Literal["v2", "v1"] = "v2",
    wavelength_angstrom: float = 1.0,
    is_paced: bool = True,
    pixel_m: float = 172e-6,
) -> SimplonServer:
    """Serve the frames of files as a detector would; whatever is masked in the files is the detector's pixel mask.

    Raises
    ------
    MissingInputError, DataError
        If a file is absent or holds no frames.
    ServiceError
        If a port is taken.
    """
    source = FileFrames(paths)
    some = [source.frame(None, int(index)) for index in np.linspace(0, len(source) - 1, num=min(4, len(source)))]
    mask = mask_from_frame(np.minimum.reduce(some))  # What a few frames over the whole sequence all have masked.
    return SimplonServer(
        head=DetectorHead(description="frames from files", pixel_mask=mask, pixel_m=pixel_m),
        source=source,
        rest=rest,
        stream=stream,
        stream_format=stream_format,
        wavelength_angstrom=wavelength_angstrom,
        is_paced=is_paced,
    )


def head_of_profile(profile: Profile, *, pixel_mask: np.ndarray[tuple[int, ...], np.dtype[np.uint32]]) -> DetectorHead:
    """Give the head that a profile describes.

    Raises
    ------
    ProfileError
        If the mask has another shape.
    """
    detector = profile.detector
    if pixel_mask.shape != (detector.n_rows, detector.n_columns):
        raise ProfileError(
            f"{profile.name}: detector.n_rows, n_columns are {detector.n_rows}, {detector.n_columns}, "
            f"the pixel mask has shape {pixel_mask.shape}: make them agree"
        )
    return DetectorHead(
        pixel_mask=pixel_mask,
        pixel_m=detector.pixel_m,
        readout_s=detector.readout_s,
        saturation_counts=detector.saturation_counts,
    )


def _listening(url: str) -> socket.socket:
    parts = urlsplit(url)
    # Naming the protocol is what lets asyncio switch off Nagle on its connections: without, every answer takes 40 ms.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((parts.hostname or "127.0.0.1", parts.port or 0))
        listening.listen(16)
    except OSError as refused:
        listening.close()
        raise ServiceError(f"the detector cannot serve REST on {url}: {refused}. Is another one running there?") from refused
    return listening


def _serve_rest(detector: Detector, listening: socket.socket) -> tuple[uvicorn.Server, threading.Thread]:
    app = RestInterface(detector).app
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        loop="asyncio",
        http="h11",
        timeout_graceful_shutdown=2,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="simplon rest", daemon=True)
    thread.start()
    return server, thread
