"""The SIMPLON REST interface of a detector, as a client."""

from typing import Any

import httpx

from operando.errors import ServiceError

API = "1.8.0"
TIMEOUT_S = 10.0
"""Arming a large detector takes seconds; longer than this it does not answer."""

KEPT_S = 1.0
"""How long a connection is kept for the next command: servers close theirs after some seconds, and one that does so at the
moment of a command leaves it without an answer."""


class UnknownKeyError(ServiceError):
    """The detector has no such key; caught where a key is one that only some detectors have."""


class SimplonClient:
    """Speaks with one detector; every failure is a :class:`~operando.errors.ServiceError` with the detector's own sentence."""

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.url = url
        # trust_env off: a proxy of the site must not come between a beamline and its detector.
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEPT_S)
        self._http = httpx.Client(base_url=url, timeout=timeout_s, trust_env=False, limits=limits)

    def config(self, key: str, *, module: str = "detector") -> Any:
        """Give the value of a configuration key."""
        return self._value("GET", f"/{module}/api/{API}/config/{key}")

    def configure(self, key: str, value: float | int | str, *, module: str = "detector") -> list[str]:
        """Set a configuration key, and give the keys that changed with it."""
        changed = self._ask("PUT", f"/{module}/api/{API}/config/{key}", json={"value": value})
        return [str(name) for name in changed] if isinstance(changed, list) else []

    def status(self, key: str, *, module: str = "detector") -> Any:
        """Give the value of a status key."""
        return self._value("GET", f"/{module}/api/{API}/status/{key}")

    def command(self, name: str, *, timeout_s: float | None = None) -> dict[str, Any]:
        """Give a command, and what the detector answers; ``arm`` answers with its ``sequence id``."""
        answer = self._ask("PUT", f"/detector/api/{API}/command/{name}", timeout_s=timeout_s)
        return answer if isinstance(answer, dict) else {}

    def close(self) -> None:
        """Free the connection."""
        self._http.close()

    def _value(self, method: str, path: str) -> Any:
        answer = self._ask(method, path)
        if not isinstance(answer, dict) or "value" not in answer:
            raise ServiceError(
                f"{self.url}{path} answers {str(answer)[:200]}, wanted a JSON object with a value: is this SIMPLON?"
            )
        return answer["value"]

    def _ask(self, method: str, path: str, *, json: object = None, timeout_s: float | None = None) -> Any:
        patience: Any = httpx.USE_CLIENT_DEFAULT if timeout_s is None else timeout_s
        try:
            response = self._http.request(method, path, json=json, timeout=patience)
        except httpx.HTTPError as error:
            raise ServiceError(
                f"the detector at {self.url} does not answer ({type(error).__name__}: {error}): is its server running?"
            ) from error
        if response.is_error:
            sentence = response.text.strip()[:500] or response.reason_phrase
            kind = UnknownKeyError if response.status_code == httpx.codes.NOT_FOUND else ServiceError
            raise kind(f"the detector refuses {method} {path} with {response.status_code}: {sentence}")
        try:
            return response.json() if response.content.strip() else None
        except ValueError as wrong:
            raise ServiceError(f"{self.url}{path} answers with something that is not JSON: {response.text[:200]!r}") from wrong
