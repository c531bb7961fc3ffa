"""Messages: their JSON is a promise to other versions of operando."""

import importlib.util
import json
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from operando import messages
from operando.messages import Message, message_from_json

FOLDER = Path(__file__).parent


def _examples() -> list[Message]:
    spec = importlib.util.spec_from_file_location("examples", FOLDER / "examples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return list(module.EXAMPLES)


EXAMPLES = _examples()


def _kind(message: Message) -> str:
    return str(message.model_dump()["kind"])


def test_every_message_has_an_example() -> None:
    union = get_args(messages.AnyMessage)[0]
    assert {type(example) for example in EXAMPLES} == set(get_args(union))


@pytest.mark.parametrize("example", EXAMPLES, ids=_kind)
def test_golden_json_is_read_as_the_example(example: Message) -> None:
    golden = json.loads((FOLDER / "golden" / f"{_kind(example)}.json").read_text())
    assert message_from_json(golden) == example


@pytest.mark.parametrize("example", EXAMPLES, ids=_kind)
def test_example_is_written_as_the_golden_json(example: Message) -> None:
    golden = json.loads((FOLDER / "golden" / f"{_kind(example)}.json").read_text())
    assert json.loads(example.model_dump_json()) == golden


@pytest.mark.parametrize("example", EXAMPLES, ids=_kind)
def test_unknown_field_and_unknown_version_are_refused(example: Message) -> None:
    value = example.model_dump(mode="json")
    with pytest.raises(ValidationError, match="surprise"):
        message_from_json({**value, "surprise": 1})
    with pytest.raises(ValidationError, match="version"):
        message_from_json({**value, "version": 2})


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_time_that_is_not_finite_is_refused(bad: float) -> None:
    value = EXAMPLES[0].model_dump(mode="json")
    with pytest.raises(ValidationError, match="time_s"):
        message_from_json({**value, "time_s": bad})
