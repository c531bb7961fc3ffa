"""The queue as a program sees it: submit, start, pause, resume, stop, abort, look.

It speaks the queue server's JSON over ZeroMQ and needs nothing of its packages: whoever only looks need not install them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import zmq
from pydantic import JsonValue

from operando.errors import DataError, ServiceError

USER_GROUP = "primary"
ANSWER_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuedPlan:
    """A plan in the queue, in flight or in the history."""

    uid: str
    name: str
    arguments: dict[str, Any]
    exit_status: str = ""
    """``completed``, ``failed``, ``aborted``, ``stopped`` ...; empty while it is not over."""
    complaint: str = ""
    """What it failed with."""

    def __str__(self) -> str:
        """Give it in words."""
        return " ".join([self.name, *(f"{key}={value}" for key, value in self.arguments.items())])


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """How the queue stands."""

    manager: str
    """State of the manager: ``idle``, ``executing_queue``, ``paused``, ``starting_queue`` ..."""
    engine: str
    """State of the RunEngine; empty where there is no environment."""
    has_environment: bool
    n_waiting: int
    is_pausing: bool


class QueueClient:
    """Asks one queue server; used from one thread. Every question waits for its answer, at most a few seconds.

    Parameters
    ----------
    address
        Where the queue's control socket is.
    """

    def __init__(self, address: str, *, answer_s: float = ANSWER_S, user: str = "operando") -> None:
        self.address = address
        self._answer_s = answer_s
        self._user = user
        self._socket = self._connect()

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask in the queue server's own words, and give its answer.

        Raises
        ------
        ServiceError
            If nobody answers.
        DataError
            If it is refused, with the server's reason.
        """
        self._socket.send_json({"method": method, "params": parameters})
        if not self._socket.poll(round(1000 * self._answer_s)):
            self.close()
            self._socket = self._connect()
            raise ServiceError(f"the queue at {self.address} does not answer: start it with operando start queue PROFILE")
        answer: Any = self._socket.recv_json()
        if not answer.get("success", True):
            raise DataError(str(answer.get("msg", "refused"))[:4000])
        return dict(answer)

    def status(self) -> QueueStatus:
        """Give how the queue stands."""
        found = self.ask("status")
        return QueueStatus(
            manager=str(found["manager_state"]),
            engine=str(found.get("re_state") or ""),
            has_environment=bool(found["worker_environment_exists"]),
            n_waiting=int(found["items_in_queue"]),
            is_pausing=bool(found.get("pause_pending")),
        )

    def plans(self) -> dict[str, str]:
        """Give the plans that can be submitted, with their arguments in words."""
        allowed = self.ask("plans_allowed", user_group=USER_GROUP)["plans_allowed"]
        return {name: _arguments_in_words(plan) for name, plan in sorted(allowed.items())}

    def submit(self, plan: str, arguments: Mapping[str, JsonValue] | None = None) -> str:
        """Put a plan at the end of the queue, and give its uid; wrong names and types are refused."""
        item = {"item_type": "plan", "name": plan, "kwargs": dict(arguments or {})}
        answer = self.ask("queue_item_add", item=item, user=self._user, user_group=USER_GROUP)
        return str(answer["item"]["item_uid"])

    def remove(self, uid: str) -> None:
        """Take a plan that waits out of the queue."""
        self.ask("queue_item_remove", uid=uid)

    def start(self) -> None:
        """Fly what waits, one after another."""
        self.ask("queue_start")

    def pause(self, *, after_line: bool) -> None:
        """Pause what flies: when its line is over, or now."""
        self.ask("re_pause", option="deferred" if after_line else "immediate")

    def resume(self) -> None:
        """Let what is paused go on."""
        self.ask("re_resume")

    def stop(self) -> None:
        """End what is paused, as if it were complete."""
        self.ask("re_stop")

    def abort(self) -> None:
        """End what is paused as aborted; the server puts it back at the head of the queue, and stops the queue."""
        self.ask("re_abort")

    def waiting(self) -> list[QueuedPlan]:
        """Give the plans that wait, the next first."""
        return [_plan(item) for item in self.ask("queue_get")["items"]]

    def flying(self) -> QueuedPlan | None:
        """Give the plan in flight."""
        item = self.ask("queue_get")["running_item"]
        return _plan(item) if item else None

    def history(self) -> list[QueuedPlan]:
        """Give the plans that are over, the oldest first."""
        return [_plan(item) for item in self.ask("history_get")["items"]]

    def close(self) -> None:
        """Free the socket."""
        self._socket.close()

    def __enter__(self) -> "QueueClient":
        return self

    def __exit__(self, *of_exception: object) -> None:
        self.close()

    def _connect(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ)
        socket.linger = 0
        socket.connect(self.address)
        return socket


def _plan(item: Mapping[str, Any]) -> QueuedPlan:
    result = item.get("result") or {}
    return QueuedPlan(
        uid=str(item["item_uid"]),
        name=str(item["name"]),
        arguments=dict(item.get("kwargs", {})),
        exit_status=str(result.get("exit_status", "")),
        complaint=str(result.get("msg", "")),
    )


def _arguments_in_words(plan: Mapping[str, Any]) -> str:
    return ", ".join(one["name"] + ("=" if "default" in one else "") for one in plan.get("parameters", ())) or "no arguments"
