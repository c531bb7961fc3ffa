"""The lattice curves keep what was published about them, and the samples of NMC811 are made of it."""

import numpy as np
import pytest

from acquisition.twin.cell.makes import NMC811_G_CM3
from acquisition.twin.lattices import NMC811_CURVE, crystal_at, lattice_at, lattice_maps
from acquisition.twin.phases import CRYSTALS
from acquisition.twin.sample import make_history
from operando.errors import ProfileError
from operando.profile import Winding, read_profile


def volume(material: str, y: float) -> float:
    return crystal_at(material, y).volume_angstrom3


def test_nmc811_loses_the_published_volume_and_nmc532_much_less() -> None:
    """5.1 % for NMC811 (Kondrakov et al., J. Phys. Chem. C 121 (2017) 3286), up to where its c is 14.030 angstrom."""
    lost = {material: 1 - volume(material, end) / volume(material, 1.0) for material, end in (("nmc811", 0.20), ("nmc", 0.32))}

    assert lost["nmc811"] == pytest.approx(0.051, abs=0.001)
    assert lost["nmc"] < 0.025


def test_c_of_nmc811_grows_to_its_published_length_and_collapses() -> None:
    y = np.linspace(0.2, 1.0, 161)
    a, c = lattice_at("nmc811", y)

    assert c.max() == pytest.approx(14.467)
    assert y[c.argmax()] == pytest.approx(0.5)
    assert (c[0], c[-1]) == pytest.approx((14.030, 14.200))
    assert np.all(np.diff(a) > 0)
    assert np.all(np.diff(NMC811_CURVE[:, 0]) > 0)


@pytest.mark.parametrize("name", ["b16-particle", "b16-full-cell"])
def test_the_scenarios_at_19_kev_are_of_nmc811(name: str) -> None:
    sample = make_history(read_profile(name), begun_s=0.0).slice_at(0.0)
    metals = CRYSTALS["nmc811"].sites[0].occupants

    assert "nmc" not in sample.materials
    assert metals["Ni"] == 0.8
    assert sum(metals.values()) == pytest.approx(1.0)
    assert CRYSTALS["nmc811"].density_g_cm3 == pytest.approx(NMC811_G_CM3, rel=0.03)
    y = float(np.nanmean(sample.lithium_y))
    assert np.nanmean(lattice_maps(sample, follows_lithium=True)["c/nmc811"]) == pytest.approx(
        lattice_at("nmc811", np.array(y))[1], abs=0.003
    )


def test_sizes_are_refused_for_what_is_not_wound() -> None:
    profile = read_profile("sign-test")
    assert profile.twin is not None
    profile = profile.model_copy(update={"twin": profile.twin.model_copy(update={"winding": Winding(can_mm=6.0)})})

    with pytest.raises(ProfileError, match="no wound cell"):
        make_history(profile)
