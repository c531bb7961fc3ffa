"""A table of parameters as SIMPLON shows them: typed, with range and access mode; a put answers which parameters it changed."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

_KINDS = {
    "bool": "true or false",
    "float": "a finite number",
    "int": "a whole number",
    "uint": "a whole number, not negative",
    "string": "a text",
}

ValueType = Literal["bool", "float", "int", "uint", "string", "any"]


class UnknownParameterError(KeyError):
    """A parameter that does not exist; caught by the REST interface, which answers 404."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What may stand in one parameter."""

    default: JsonValue
    value_type: ValueType
    access_mode: Literal["r", "rw"] = "rw"
    unit: str = ""
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] = ()

    def accept(self, name: str, value: JsonValue) -> JsonValue:
        """Give the value as it will be stored.

        Raises
        ------
        ValueError
            If it is of the wrong type or outside its range, in one sentence.
        """
        accepted = self._typed(name, value)
        if self.allowed and accepted not in self.allowed:
            raise ValueError(f"{name} is {value!r}: it must be one of {', '.join(self.allowed)}")
        if isinstance(accepted, int | float) and not isinstance(accepted, bool):
            if (self.low is not None and accepted < self.low) or (self.high is not None and accepted > self.high):
                raise ValueError(f"{name} is {value} {self.unit}".rstrip() + f": it must lie in {_range(self.low, self.high)}")
        return accepted

    def _typed(self, name: str, value: JsonValue) -> JsonValue:
        match self.value_type, value:
            case ("any", _) | ("bool", bool()) | ("string", str()):
                return value
            case (("float" | "int" | "uint"), bool()):
                pass
            case "float", int() | float() if abs(value) <= sys.float_info.max:  # Neither NaN nor infinite.
                return float(value)
            case "int", int():
                return value
            case "uint", int() if value >= 0:
                return value
        raise ValueError(f"{name} is {str(value)[:80]!r}: it must be {_KINDS[self.value_type]}")


Couple = Callable[[dict[str, JsonValue], str], dict[str, JsonValue]]
"""Given the values with one newly put and its name, give what else changes; ValueError refuses the put."""


class ParameterTable:
    """The parameters of one SIMPLON module and their values; not thread-safe, its owner locks.

    Parameters
    ----------
    parameters
        What exists.
    couple
        What a put does to other parameters; by default nothing.
    """

    def __init__(self, parameters: Mapping[str, Parameter], couple: Couple = lambda values, name: {}) -> None:
        self._parameters = dict(parameters)
        self._couple = couple
        self._values: dict[str, JsonValue] = {}
        self.reset()

    def reset(self) -> None:
        """Set every parameter to its default."""
        self._values = {name: parameter.default for name, parameter in self._parameters.items()}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._parameters))

    def __getitem__(self, name: str) -> JsonValue:
        return self._values[name]

    def values(self) -> dict[str, JsonValue]:
        """Give a copy of all values by name."""
        return dict(self._values)

    def show(self, name: str) -> dict[str, JsonValue]:
        """Give a parameter in SIMPLON's JSON shape.

        Raises
        ------
        UnknownParameterError
            If there is none of that name.
        """
        parameter = self._known(name)
        shown: dict[str, JsonValue] = {
            "value": self._values[name],
            "value_type": parameter.value_type,
            "access_mode": parameter.access_mode,
        }
        if parameter.unit:
            shown["unit"] = parameter.unit
        if parameter.low is not None:
            shown["min"] = parameter.low
        if parameter.high is not None:
            shown["max"] = parameter.high
        if parameter.allowed:
            shown["allowed_values"] = list(parameter.allowed)
        return shown

    def put(self, name: str, value: JsonValue) -> list[str]:
        """Set a parameter and give the names of all that changed with it, itself first.

        Raises
        ------
        UnknownParameterError
            If there is none of that name.
        ValueError
            If it cannot be written, or not with this value; nothing has changed then.
        """
        parameter = self._known(name)
        if parameter.access_mode == "r":
            raise ValueError(f"{name} can only be read")
        wanted = self._values | {name: parameter.accept(name, value)}
        others = {key: self._parameters[key].accept(key, other) for key, other in self._couple(wanted, name).items()}
        changed = [key for key, other in others.items() if other != self._values[key]]
        self._values = wanted | others
        return [name, *changed]

    def _known(self, name: str) -> Parameter:
        if name not in self._parameters:
            raise UnknownParameterError(f"no parameter {name!r}; the list is at config/keys")
        return self._parameters[name]


def _range(low: float | None, high: float | None) -> str:
    return f"[{'-inf' if low is None else low}, {'inf' if high is None else high}]"
