"""The plans as functions that a RunEngine or a queue server takes: typed, documented, bound to a station."""

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin, get_type_hints

from bluesky.utils import MsgGenerator
from pydantic import BaseModel

from acquisition.plans.catalogue import CATALOGUE, make_programme
from acquisition.plans.station import Station, fly_programme
from operando.profile import Profile


def plans_of(station: Station, profile: Profile) -> dict[str, Callable[..., MsgGenerator[None]]]:
    """Give every plan of the catalogue by name, with its own signature and ``metadata`` as the last argument."""
    return {name: _bound(name, station, profile) for name in CATALOGUE}


def _bound(name: str, station: Station, profile: Profile) -> Callable[..., MsgGenerator[None]]:
    def plan(*, metadata: dict[str, Any] | None = None, **arguments: Any) -> MsgGenerator[None]:
        yield from fly_programme(station, make_programme(name, profile, arguments), metadata=metadata)

    source = CATALOGUE[name]
    signature = inspect.signature(source)
    shown = {argument: plain_type(hint) for argument, hint in get_type_hints(source).items()}
    _, *arguments = signature.parameters.values()
    parameters = [
        *(argument.replace(annotation=shown[argument.name]) for argument in arguments),
        inspect.signature(plan).parameters["metadata"],
    ]
    plan.__name__ = plan.__qualname__ = name
    plan.__doc__ = source.__doc__
    # What inspect and queue servers read.
    plan.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": MsgGenerator[None]}
    vars(plan)["__signature__"] = signature.replace(parameters=parameters, return_annotation=MsgGenerator[None])
    return plan


def plain_type(hint: Any) -> Any:
    """Give a type as a queue server understands it: without ranges, and a mapping in place of a model of ours.

    The server refuses by type what is submitted; the ranges are checked before anything moves.
    """
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return dict[str, Any]
    return list[plain_type(get_args(hint)[0])] if get_origin(hint) is list else hint  # type: ignore[misc]
