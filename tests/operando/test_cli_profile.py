"""``operando profile new``: a profile that stands alone, and is right but for what only its beamline knows."""

from pathlib import Path

import pytest

from operando.cli.profile import write_new
from operando.errors import OutputError, ProfileError
from operando.profile import read_profile


@pytest.mark.parametrize("like", ["18650-1c/beamline", "p07-aaa", "demo"])
def test_new_profile_stands_alone_and_is_what_it_was_made_from(tmp_path: Path, like: str) -> None:
    base = read_profile(like)
    write_new("mine", base, like=like, folder=tmp_path / "mine")
    made = read_profile(str(tmp_path / "mine"))
    assert made.name == "mine"
    assert made.control == base.control
    assert made.scan == base.scan
    assert made.cell == base.cell
    assert "extends" not in (tmp_path / "mine" / "profile.toml").read_text()
    for phase, other in zip(made.phases, base.phases, strict=True):
        assert made.path(phase.cif).is_relative_to(tmp_path)
        assert made.path(phase.cif).read_text() == base.path(other.cif).read_text()
        if other.lithium_curve is not None:
            assert phase.lithium_curve is not None
            assert made.path(phase.lithium_curve).is_relative_to(tmp_path)
            assert made.path(phase.lithium_curve).read_text() == base.path(other.lithium_curve).read_text()
    assert made.path(made.geometry.poni).read_text() == base.path(base.geometry.poni).read_text()


def test_nothing_is_overwritten_and_no_strange_place_is_written_to(tmp_path: Path) -> None:
    base = read_profile("demo")
    write_new("mine", base, like="demo", folder=tmp_path / "mine")
    with pytest.raises(OutputError, match="exists"):
        write_new("mine", base, like="demo", folder=tmp_path / "mine")
    for name in ("../other", "", "a/b"):
        with pytest.raises(ProfileError, match="no name for a profile"):
            write_new(name, base, like="demo", folder=tmp_path / "x")
