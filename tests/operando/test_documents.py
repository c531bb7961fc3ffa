"""What README and tour tell people to type exists, and so do the pictures that they show."""

import re
from pathlib import Path

import pytest
import typer

from operando.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "docs" / "tour.md"]


def typed(document: Path) -> list[list[str]]:
    """The operando commands in a document's code blocks, split into words."""
    blocks = re.findall(r"^```(?:sh)?\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    found = (re.match(r"(?:\.venv/bin/)?operando ([a-z]+.*)", line) for line in lines)
    # In the README's list of commands words follow after at least two blanks.
    return [re.split(r"  +", match[1])[0].split() for match in found if match]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_in_a_document_exists(document):
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = typed(document)
    assert len(lines) > 5
    for name, *words in lines:
        assert name in commands, f"{document.name}: operando {name}"
        known = {option for parameter in commands[name].params for option in parameter.opts}
        unknown = [word for word in words if word.startswith("-") and word not in known]
        assert not unknown, f"{document.name}: operando {name} {unknown}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_everything_that_a_document_links_to_is_there_and_pictures_are_small(document):
    links = re.findall(r"\]\((?!http)([^)#]+)\)", document.read_text())
    assert links
    for link in links:
        target = document.parent / link
        assert target.exists(), link
        assert target.suffix not in (".png", ".gif") or target.stat().st_size < 200_000, link
