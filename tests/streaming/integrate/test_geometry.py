"""Geometry files and masks: what is read, and what is refused with one sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operando.errors import MissingInputError, ProfileError
from operando.profile import Profile, read_profile
from streaming.integrate.geometry import load_poni, read_geometry
from streaming.integrate.integrator import make_integrator


@pytest.fixture(scope="module")
def profile() -> Profile:
    return read_profile("demo")


def with_changes(profile: Profile, **sections: dict[str, Any]) -> Profile:
    return profile.model_copy(
        update={name: getattr(profile, name).model_copy(update=values) for name, values in sections.items()}
    )


def test_the_demo_geometry_masks_the_gaps_and_sees_the_range(profile: Profile) -> None:
    geometry = read_geometry(profile)
    assert geometry.shape == (1679, 1475)
    assert 0.07 < geometry.mask.mean() < 0.09
    assert geometry.q.min() < 0.05
    assert geometry.q.max() > profile.integration.q_max
    assert geometry.correction.max() <= 1.0


def test_a_stream_mask_reaches_the_integrator(profile: Profile) -> None:
    dead = np.zeros((1679, 1475), np.uint32)
    dead[700:800, 300:400] = 1
    assert make_integrator(profile, pixel_mask=dead).bins.n_used < make_integrator(profile).bins.n_used


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"detector": {"pixel_m": 75e-6}}, "pixels of 172 x 172 um, the profile's detector 75 um"),
        ({"detector": {"n_rows": 1680}}, "is for 1679 x 1475 pixels"),
        ({"detector": {"model": "Brownie"}}, "detector.model: pyFAI knows no detector 'Brownie'"),
        ({"detector": {"model": "Eiger1M"}}, "detector.model"),
    ],
)
def test_a_geometry_of_another_detector_is_refused(profile: Profile, changes: Any, words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        read_geometry(with_changes(profile, **changes))


@pytest.mark.parametrize(
    "text",
    ["", "\x00\x01\x02", "Distance: far\n", "Distance: 1.0\nPoni1: 0.1\nPoni2: 0.1\n", "Distance: nan\nWavelength: 1e-11\n"],
)
def test_a_file_that_is_no_geometry_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.poni"
    path.write_text(text)
    with pytest.raises(ProfileError, match=r"geometry\.poni: bad\.poni"):
        load_poni(path)


def test_of_several_calibrations_in_a_file_the_last_counts(data_folder: Path) -> None:
    many, last = (load_poni(data_folder / "nDTomo" / name) for name in ("CeO2.poni", "CeO2_last.poni"))
    assert many.param == pytest.approx(last.param)


def test_masks_are_read_from_npy_and_refused_when_they_do_not_fit(profile: Profile, tmp_path: Path) -> None:
    mask = np.zeros((1679, 1475), np.uint8)
    mask[:5] = 1
    np.save(tmp_path / "mask.npy", mask)
    np.save(tmp_path / "small.npy", mask[:7])
    (tmp_path / "text.edf").write_text("no image")
    geometry = read_geometry(with_changes(profile, geometry={"mask": tmp_path / "mask.npy"}))
    assert geometry.mask[:5].all()
    with pytest.raises(ProfileError, match=r"small\.npy has shape \(7, 1475\)"):
        read_geometry(with_changes(profile, geometry={"mask": tmp_path / "small.npy"}))
    with pytest.raises(ProfileError, match="not an image"):
        read_geometry(with_changes(profile, geometry={"mask": tmp_path / "text.edf"}))
    with pytest.raises(MissingInputError, match="no mask file"):
        read_geometry(with_changes(profile, geometry={"mask": tmp_path / "none.npy"}))
