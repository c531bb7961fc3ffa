"""What napari finds in operando, tried in a real napari window: the manifest, the reader, the samples, the widget, the keys."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from npe2 import PluginManager, PluginManifest

from tests.viewer.conftest import delete_windows
from viewer.app import open_window
from viewer.colormaps import EVEN, PRINT, PUBLISHED, next_scale
from viewer.plugin import Connector, read_maps
from viewer.replay import entries_from_archive
from viewer.sample import lithium, write_sample
from viewer.shortcuts import NAPARI_KEYS, Shortcuts
from viewer.window import Monitor

MANIFEST = Path(__file__).parents[2] / "viewer" / "napari.yaml"


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.nxs"
    write_sample(path, charge=0.5)
    return path


@pytest.fixture(scope="module")
def viewer(screen, qapp):
    """A napari window with the plugin in it, as if it had been installed."""
    import napari
    from napari.settings import get_settings

    get_settings().application.confirm_close_window = False
    delete_windows()  # Those of earlier modules would hear of the new plugin, half deleted.
    manager = PluginManager.instance()
    manifest = PluginManifest.from_file(MANIFEST)
    is_installed = manifest.name in manager
    if not is_installed:
        manager.register(manifest)
    opened = napari.Viewer(show=True)
    yield opened
    opened.close()
    if not is_installed:
        manager.unregister(manifest.name)


def test_the_manifest_is_valid():
    checked = subprocess.run(
        [sys.executable, "-m", "npe2", "validate", str(MANIFEST)], capture_output=True, text=True, check=False, timeout=60
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    manifest = PluginManifest.from_file(MANIFEST)
    manifest.validate_imports()
    named = {contribution.command for contribution in (manifest.contributions.widgets or [])}
    named |= {sample.command for sample in (manifest.contributions.sample_data or [])}
    named |= {item.command for items in (manifest.contributions.menus or {}).values() for item in items}
    assert named <= {command.id for command in manifest.contributions.commands or []}


def test_an_archive_that_is_dropped_in_becomes_layers_with_y_upwards(viewer, archive):
    layers = viewer.open(str(archive), plugin="operando-xrdct")
    assert [layer.name for layer in layers][-2:] == ["Cu (anode foil) (wt%)", "x in LixC6"]
    first = layers[-1]
    assert viewer.layers.selection.active is first
    np.testing.assert_array_equal(first.data, lithium(0.5).astype("f4"))
    assert first.colormap.name == PUBLISHED
    assert list(first.contrast_limits) == [0.0, 1.0]
    assert first.metadata["operando"]["run"] == "phantom"
    # The phantom's outermost turn ends where y is large: on the screen that must be in the upper half.
    picture = viewer.screenshot(canvas_only=True, flash=False)
    row = first.world_to_data((-2.0, 0.9))[0]
    assert row == pytest.approx(30 + 2.0 / 0.08)
    assert picture[..., 0].max() > 100


def test_the_samples_open(viewer):
    maps = viewer.open_sample("operando-xrdct", "jelly-roll")
    assert len(maps) == 7
    (charge,) = viewer.open_sample("operando-xrdct", "charge")
    assert charge.data.shape == (10, 61, 61)
    means = [float(np.nanmean(scan)) for scan in charge.data]
    assert means == sorted(means)
    assert viewer.dims.nsteps[0] == 10


def test_the_widget_shows_a_file_and_says_in_words_why_it_cannot(viewer, archive, tmp_path, qtbot):
    _, widget = viewer.window.add_plugin_dock_widget("operando-xrdct", "operando monitor")
    assert isinstance(widget, Connector)
    (tmp_path / "cut.nxs").write_bytes(archive.read_bytes()[:3000])
    for source, words in [
        (str(tmp_path / "absent.nxs"), "no file"),
        (str(tmp_path / "cut.nxs"), "damaged"),
        ("somewhere", "is not an address"),
    ]:
        widget.ask_for(source)
        widget.connect_monitor()
        assert words in widget.complaint
        assert widget.monitor is None
    widget.ask_for(str(archive))
    widget.connect_monitor()
    assert widget.complaint == ""
    qtbot.waitUntil(lambda: "x in LixC6" in [layer.name for layer in viewer.layers], timeout=60_000)
    widget.monitor.close()


@pytest.fixture(scope="module")
def window(screen, qapp, archive) -> Iterator[Monitor]:
    monitor = open_window(None)
    monitor.feed(entries_from_archive(archive))
    monitor.tick()
    yield monitor
    monitor.viewer.close()


def test_in_a_window_of_operando_a_dropped_archive_is_not_upside_down(window, archive):
    _, keywords, _ = read_maps(str(archive))[-1]
    assert keywords["scale"] == pytest.approx((0.08, 0.08))


def press(monitor: Monitor, key: str) -> None:
    """Do what napari does for a key."""
    from app_model.types import KeyBinding

    action = monitor.viewer.keymap[KeyBinding.from_str(key)]
    action(monitor.viewer)


def test_every_key_is_on_the_card_and_the_card_comes_and_goes(window):
    press(window, "H")
    assert window.shortcuts.card.isVisible()
    for shortcut in window.shortcuts.all:
        assert shortcut.words in window.shortcuts.card.text
        assert all(f"{key}" in window.shortcuts.card.text for key in shortcut.keys)
    press(window, "H")
    assert not window.shortcuts.card.isVisible()
    bound = {str(key) for key in window.viewer.keymap}
    assert {key for shortcut in window.shortcuts.all for key in shortcut.keys} <= bound


def test_no_key_takes_one_of_naparis_own_away_from_images(window):
    from napari.layers import Image
    from napari.settings import get_settings

    ours = {key for shortcut in window.shortcuts.all for key in shortcut.keys}
    taken = {str(key) for key in Image.class_keymap}
    shortcuts = get_settings().shortcuts.shortcuts
    viewers = (
        "reset_view",
        "toggle_",
        "increment_dims",
        "hold_for",
        "select_layer",
        "show_",
        "focus_",
        "roll_",
        "auto_contrast",
    )
    taken |= {str(key) for action, keys in shortcuts.items() if action.split(":")[1].startswith(viewers) for key in keys}
    assert not ours & taken
    assert not {key for key in NAPARI_KEYS if key in ours}


def test_a_closed_monitor_gives_the_keys_back(window):
    shortcuts = Shortcuts(window.viewer, window.header, [])
    shortcuts.close()
    assert "H" not in {str(key) for key in window.viewer.keymap}
    window.viewer.bind_key("H", lambda _: None)


def test_the_scales_go_round_and_the_picture_changes_its_colours(window, qtbot):
    layer = window.layers.layer("x_lithium")
    seen = [layer.colormap.name]
    for _ in range(3):
        press(window, "K")
        seen.append(layer.colormap.name)
    assert seen == [PUBLISHED, EVEN, PRINT, PUBLISHED]
    press(window, "K")
    assert layer.colormap.name == EVEN
    canvas = np.asarray(window.viewer.screenshot(canvas_only=True, flash=False)).astype(int)
    # x = 1 is amber on this scale; the published one has no green at all.
    assert (canvas[..., 1] > canvas[..., 2] + 60).any()
    assert next_scale("viridis") == "viridis"


def test_the_background_turns_grey_and_white_again(window):
    press(window, "W")
    corner = np.asarray(window.viewer.screenshot(canvas_only=True, flash=False))[2, 2, :3]
    assert tuple(corner) == (0x9A, 0x9A, 0x9A)
    press(window, "W")
    corner = np.asarray(window.viewer.screenshot(canvas_only=True, flash=False))[2, 2, :3]
    assert tuple(corner) == (255, 255, 255)
