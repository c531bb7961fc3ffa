"""The SIMPLON REST interface, API 1.8.0: what a client may read, set and command, over HTTP with small JSON values."""

import base64
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from acquisition.twin.simplon.detector import Detector, StateError
from acquisition.twin.simplon.parameters import UnknownParameterError

API_VERSION = "1.8.0"
MAX_BODY_BYTES = 1_000_000
MODULES = ("detector", "stream")

Endpoint = Callable[[Request], Awaitable[Response]]


class _RefusedError(Exception):
    """A request that cannot be served; its sentence and HTTP status become the answer."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class RestInterface:
    """Answers requests for one detector; the detector locks, so requests may overlap."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        base = "/{module}/api/{version}"
        self.app = Starlette(
            routes=[
                Route("/{module}/api/version", _guarded(self._version), methods=["GET"]),
                Route(base + "/config", _guarded(self._put_many), methods=["PUT"]),
                Route(base + "/config/{key}", _guarded(self._config), methods=["GET"]),
                Route(base + "/config/{key}", _guarded(self._put_one), methods=["PUT"]),
                Route(base + "/status/{key}", _guarded(self._status), methods=["GET"]),
                Route(base + "/command/{key}", _guarded(self._command), methods=["PUT"]),
            ]
        )

    async def _version(self, request: Request) -> Any:
        _module(request)
        return {"value": API_VERSION, "value_type": "string", "access_mode": "r"}

    async def _config(self, request: Request) -> Any:
        table = self._detector.config if _module(request) == "detector" else self._detector.stream_config
        key = request.path_params["key"]
        if key == "keys":
            return [*table, *(self._arrays() if table is self._detector.config else {})]
        if table is self._detector.config and key in self._arrays():
            return await run_in_threadpool(lambda: _shown(_darray(self._arrays()[key]), "uint[][]"))
        return table.show(key)

    async def _put_one(self, request: Request) -> Any:
        return await self._put(request, {request.path_params["key"]: await _body(request)})

    async def _put_many(self, request: Request) -> Any:
        return await self._put(request, await _body(request))

    async def _put(self, request: Request, values: dict[str, Any]) -> list[str]:
        changed: list[str] = []
        for name, wrapped in values.items():
            if not isinstance(wrapped, dict) or "value" not in wrapped:
                raise _RefusedError(400, f'{name} comes as {json.dumps(wrapped)[:80]}: send {{"value": ...}}')
            if name in self._arrays():
                raise ValueError(f"{name} can only be read")
            changed += await run_in_threadpool(self._detector.put, _module(request), name, wrapped["value"])
        return list(dict.fromkeys(changed))

    async def _status(self, request: Request) -> Any:
        known = self._detector_status() if _module(request) == "detector" else self._stream_status()
        key = request.path_params["key"]
        if key == "keys":
            return sorted(known)
        if key not in known:
            raise _RefusedError(404, f"no status {key!r}: there are {', '.join(sorted(known))}")
        return known[key]

    def _detector_status(self) -> dict[str, Any]:
        return {
            "state": _shown(self._detector.state, "string"),
            "error": _shown([], "string[]"),
            "time": _shown(datetime.now(UTC).isoformat(timespec="milliseconds"), "string"),
            "images": _shown(self._detector.n_images, "uint"),
            "pulses_ignored": _shown(self._detector.n_pulses_ignored, "uint"),
        }

    def _stream_status(self) -> dict[str, Any]:
        """Give the stream's state; ``dropped`` and ``frames_sent``, which is our own, count images since the server started."""
        is_enabled = self._detector.stream_config["mode"] == "enabled"
        return {
            "state": _shown("ready" if is_enabled else "disabled", "string"),
            "error": _shown([], "string[]"),
            "dropped": _shown(self._detector.sender.n_images_dropped, "uint"),
            "frames_sent": _shown(self._detector.sender.n_images_sent, "uint"),
        }

    async def _command(self, request: Request) -> Any:
        key = request.path_params["key"]
        commands: dict[str, Callable[[], int | None]] = {"initialize": self._detector.initialize}
        if _module(request) == "detector":
            commands |= {
                "arm": self._detector.arm,
                "trigger": self._detector.trigger,
                "disarm": self._detector.disarm,
                "cancel": self._detector.disarm,
                "abort": self._detector.abort,
            }
        if key not in commands:
            raise _RefusedError(404, f"no command {key!r}: there are {', '.join(sorted(commands))}")
        series = await run_in_threadpool(commands[key])
        return None if series is None else {"sequence id": series}

    def _arrays(self) -> dict[str, NDArray[np.uint32]]:
        return {"pixel_mask": self._detector.head.pixel_mask}


def _guarded(answer: Callable[[Request], Awaitable[Any]]) -> Endpoint:
    """Give an endpoint that answers with JSON, or with one sentence and the right status."""

    async def endpoint(request: Request) -> Response:
        try:
            if request.path_params.get("version", API_VERSION) != API_VERSION:
                raise _RefusedError(404, f"no API {request.path_params['version']!r}: this detector speaks {API_VERSION}")
            return JSONResponse(await answer(request))
        except _RefusedError as refused:
            return PlainTextResponse(str(refused), status_code=refused.status)
        except UnknownParameterError as unknown:
            return PlainTextResponse(str(unknown), status_code=404)
        except (ValueError, StateError) as wrong:
            return PlainTextResponse(str(wrong), status_code=400)

    return endpoint


def _module(request: Request) -> Any:
    module = request.path_params["module"]
    if module not in MODULES:
        raise _RefusedError(404, f"no module {module!r}: there are {' and '.join(MODULES)}")
    return module


async def _body(request: Request) -> Any:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _RefusedError(413, f"the request is larger than {MAX_BODY_BYTES} bytes: send one small JSON object")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as wrong:
        raise _RefusedError(400, f"the request is not JSON: {wrong}") from wrong
    if not isinstance(value, dict):
        raise _RefusedError(400, f"the request is JSON but not an object: {json.dumps(value)[:80]}")
    return value


def _shown(value: Any, value_type: str) -> dict[str, Any]:
    return {"value": value, "value_type": value_type, "access_mode": "r"}


def _darray(array: NDArray[np.uint32]) -> dict[str, Any]:
    """Give an array in SIMPLON's JSON form."""
    data = base64.b64encode(np.ascontiguousarray(array, dtype="<u4").tobytes()).decode()
    return {"__darray__": [1, 0, 0], "type": "<u4", "shape": list(array.shape), "filters": ["base64"], "data": data}
