"""A beamtime as a whole: what its processes are told."""

from pathlib import Path

from operando.cli.beamtime import Beamtime
from operando.profile import read_profile


def test_a_simulated_beamline_asks_no_other_for_its_motors(tmp_path: Path) -> None:
    beamtime = Beamtime(profile=read_profile("demo"), out=tmp_path)
    assert beamtime.role("acquire").environment["EPICS_CA_ADDR_LIST"] == ""


def test_a_real_beamline_is_found_where_the_site_says(tmp_path: Path) -> None:
    real = read_profile("demo").model_copy(update={"twin": None})
    assert "EPICS_CA_ADDR_LIST" not in Beamtime(profile=real, out=tmp_path).role("acquire").environment
