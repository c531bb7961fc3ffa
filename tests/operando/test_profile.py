"""Profiles: what is wrong is said with the key's name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from acquisition.plans.dry_run import dry_run
from operando.errors import MissingInputError, ProfileError
from operando.profile import find_profile, profiles_folder, read_profile, write_profile

DEMO = profiles_folder() / "demo" / "profile.toml"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str], str]:
    """Write the demo profile with one replacement, and give its path."""

    def write(old: str, new: str) -> str:
        text = DEMO.read_text()
        assert old in text
        path = tmp_path / "profile.toml"
        path.write_text(text.replace(old, new, 1))
        return str(path)

    return write


@pytest.mark.parametrize("path", sorted(profiles_folder().glob("*/profile.toml")), ids=lambda path: path.parent.name)
def test_every_profile_that_comes_along_can_be_read(path: Path) -> None:
    assert read_profile(str(path)).name == path.parent.name


def test_a_written_profile_reads_back_equal_from_elsewhere(tmp_path: Path) -> None:
    profile = read_profile("demo")
    write_profile(profile, tmp_path / "profile.toml")
    back = read_profile(str(tmp_path))
    assert back.path(back.geometry.poni) == profile.path(profile.geometry.poni)
    assert back.scan == profile.scan
    assert back.control == profile.control


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("n_lines = 40", "n_lines = 40\nn_linse = 3", "scan.n_linse: unknown key"),
        ("n_lines = 40", 'n_lines = "many"', "scan.n_lines: .*integer.*found 'many'"),
        ("n_lines = 40", "n_lines = 0", "scan.n_lines: .*greater than or equal to 1"),
        ("step_mm = 0.1", "", "scan.step_mm: missing"),
        ("q_min = 1.1", "q_min = 9.9", "q_min 9.9 must be below q_max"),
        ("q_min = 1.1", "q_min = nan", "integration.q_min"),
        ('name = "lic6"', 'name = "lic12"', "phases must have different names"),
        ('rest = "http://', 'rest = "ftp://', "detector.rest"),
        ("[scan]", "[scan", "is not TOML"),
        ('name = "demo"', 'name = "demo"\nfolder = "/tmp"', "folder: unknown key"),
    ],
)
def test_a_wrong_key_is_named(changed: Callable[[str, str], str], old: str, new: str, complaint: str) -> None:
    with pytest.raises(ProfileError, match=complaint):
        read_profile(changed(old, new))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(MissingInputError, match=r"no profile 'dmeo'.*demo"):
        find_profile("dmeo")


def test_a_profile_stands_over_the_one_that_it_extends(tmp_path: Path) -> None:
    (tmp_path / "profile.toml").write_text('extends = "demo"\nname = "mine"\n[scan]\nn_lines = 7\n')
    mine, demo = read_profile(str(tmp_path)), read_profile("demo")

    assert (mine.name, mine.scan.n_lines) == ("mine", 7)
    assert mine.scan.step_mm == demo.scan.step_mm
    assert mine.path(mine.geometry.poni) == demo.path(demo.geometry.poni)
    assert [mine.path(phase.cif) for phase in mine.phases] == [demo.path(phase.cif) for phase in demo.phases]


@pytest.mark.parametrize("name", ["18650-1c", "b16-particle", "b16-full-cell"])
def test_starting_point_for_a_beamline_names_roles_limits_cell_and_no_twin(name: str) -> None:
    simulated, real = read_profile(name), read_profile(f"{name}/beamline")
    assert real.twin is None
    assert real.name == name
    assert simulated.twin is not None
    assert real.cell.source.startswith("tail:")
    assert real.cell_limits.silent_s is not None
    assert real.dose is not None
    assert real.control.fast.pv != simulated.control.fast.pv
    assert dry_run(real).complaints == ()


def test_p07_listens_to_sardana_with_the_published_scan() -> None:
    profile = read_profile("p07-aaa")
    assert (profile.control.mode, profile.detector.source, profile.twin) == ("listen", "folder", None)
    assert (profile.scan.n_lines, profile.scan.step_mm, profile.scan.exposure_s) == (400, 0.020, 0.010)
    assert profile.listen is not None


def test_tables_of_the_base_can_be_left_out_by_name(tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text('extends = "demo"\nwithout = ["twin"]\n')
    assert read_profile(str(path)).twin is None
    path.write_text('extends = "demo"\nwithout = ["twins"]\n')
    with pytest.raises(ProfileError, match="without: twins is not in demo"):
        read_profile(str(path))


def test_profiles_that_extend_each_other_are_refused(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        (tmp_path / one).mkdir()
        (tmp_path / one / "profile.toml").write_text(f'extends = "{tmp_path / other}"\n')
    with pytest.raises(ProfileError, match="circle"):
        read_profile(str(tmp_path / "a"))


@pytest.mark.parametrize("path", sorted(profiles_folder().glob("*/full/profile.toml")), ids=lambda path: path.parts[-3])
def test_every_scenario_has_its_true_size(path: Path) -> None:
    scaled, full = read_profile(str(path.parent.parent)), read_profile(str(path))

    assert scaled.twin is not None
    assert full.scan != scaled.scan or full.cell != scaled.cell
    assert full.name == scaled.name
