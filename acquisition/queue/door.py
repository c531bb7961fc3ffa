"""The door before the queue server: only what is named here passes, everything else is refused with a reason.

The server itself has no switch for script upload, which runs any Python code with the beamline in its hands; its own socket is
therefore a file in a private folder, and this is the only address that anyone can reach.
"""

import contextlib
import json
import threading
from typing import Any

import structlog
import zmq

from operando.errors import ServiceError

logger = structlog.get_logger(__name__)

MAX_QUESTION_BYTES = 2**20
ANSWER_S = 10.0
POLL_MS = 50

ALLOWED = frozenset(
    {
        *("ping", "status", "config_get", "plans_allowed", "plans_existing", "devices_allowed", "devices_existing"),
        *("permissions_get", "environment_open", "environment_close", "environment_destroy", "task_result", "task_status"),
        *("queue_get", "queue_mode_set", "queue_item_add", "queue_item_add_batch", "queue_item_update", "queue_item_get"),
        *("queue_item_remove", "queue_item_remove_batch", "queue_item_move", "queue_item_move_batch", "queue_item_execute"),
        *("queue_clear", "queue_start", "queue_stop", "queue_stop_cancel", "queue_autostart", "history_get", "history_clear"),
        *("re_pause", "re_resume", "re_stop", "re_abort", "re_halt", "re_runs", "re_metadata"),
        *("lock", "lock_info", "unlock"),
    }
)
"""What the queue server may be asked."""

REASONS = {
    "script_upload": "scripts are not taken: what may fly stands in the catalogue of plans, and is installed with operando",
    "function_execute": "functions are not executed: submit a plan",
    "permissions_set": "permissions are part of operando and are not changed from outside",
}


class Door:
    """Lets questions for the queue server through, one at a time.

    Parameters
    ----------
    address
        Where anyone may ask; port ``*`` picks a free one, :attr:`address` then tells it.
    inner
        The server's own address.

    Raises
    ------
    ServiceError
        If the address cannot be bound.
    """

    def __init__(self, address: str, inner: str) -> None:
        self._inner_address = inner
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_QUESTION_BYTES)
        try:
            self._socket.bind(address)
        except zmq.ZMQError as taken:
            self._socket.close()
            raise ServiceError(f"{address} cannot be served ({taken}): end the other queue, or set queue.control") from taken
        self.address = str(self._socket.getsockopt_string(zmq.LAST_ENDPOINT))
        self._inner = self._connect()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="queue door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close the door."""
        self._stop.set()
        self._thread.join(timeout=ANSWER_S + 1)

    def __enter__(self) -> "Door":
        return self

    def __exit__(self, *of_exception: object) -> None:
        self.close()

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        socket.linger = 0
        socket.connect(self._inner_address)
        return socket

    def _carry(self) -> None:
        while not self._stop.is_set():
            if self._socket.poll(POLL_MS):
                question = self._socket.recv()
                answer = refusal(question)
                # Who asked may be gone by now.
                with contextlib.suppress(zmq.ZMQError):
                    self._socket.send(self._passed(question) if answer is None else json.dumps(answer).encode())
        self._socket.close()
        self._inner.close()

    def _passed(self, question: bytes) -> bytes:
        self._inner.send(question)
        if self._inner.poll(round(1000 * ANSWER_S)):
            return self._inner.recv()
        self._inner.close()
        self._inner = self._connect()
        return json.dumps({"success": False, "msg": "the queue server does not answer"}).encode()


def refusal(question: bytes) -> dict[str, Any] | None:
    """Give the answer to a question that must not pass; None if it may."""
    try:
        asked = json.loads(question)
    except (ValueError, RecursionError):
        asked = None
    method = asked.get("method") if isinstance(asked, dict) else None
    if isinstance(method, str) and method in ALLOWED:
        return None
    logger.warning("question refused", method=str(method)[:80])
    reason = REASONS.get(str(method), "it is not among what this queue may be asked")
    return {"success": False, "msg": f"{str(method)[:80]} is refused: {reason}"}
