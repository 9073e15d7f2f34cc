"""Overlays and figures, looked at pixel by pixel."""

import cv2
import numpy as np
import pytest

from caffe_gradcam import images, render


def grey(height=40, width=60, level=128):
    return np.full((height, width, 3), level, np.uint8)


def spot(height=40, width=60, row=10, column=45):
    """A heatmap with one hot place and nothing far from it."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - row, columns - column)
    return np.maximum(0, 1 - distance / 10).astype(np.float32)


def test_cold_is_blue_and_hot_is_red():
    cold, hot = render.colours(np.float32([[0, 1]]))[0].tolist()
    assert cold == [128, 0, 0] and hot == [0, 0, 128]


def test_another_colour_map_may_be_asked_for():
    hot = render.colours(np.float32([[1]]), cv2.COLORMAP_BONE)[0, 0].tolist()
    assert hot == [255, 255, 255]


def test_the_photograph_is_unchanged_where_the_heat_is_zero():
    photograph = np.random.RandomState(0).randint(0, 256, (40, 60, 3)).astype(np.uint8)
    heat = spot()
    painted = render.overlay(photograph, heat)
    assert np.array_equal(painted[heat == 0], photograph[heat == 0])
    assert np.array_equal(render.overlay(photograph, np.zeros_like(heat)), photograph)


def test_the_blend_is_photograph_and_colour_by_the_root_of_the_heat():
    # Heat 0.25: weight 0.5 * 0.5; JET's level 64 is (255, 0, 0)-ish in blue, green, red.
    colour = cv2.applyColorMap(np.array([[64]], np.uint8), cv2.COLORMAP_JET)[0, 0]
    painted = render.overlay(grey(1, 1, 100), np.float32([[0.25]]), opacity=0.5)[0, 0]
    assert painted.tolist() == np.rint(75 + 0.25 * colour.astype(float)).tolist()


def test_in_the_written_png_the_hottest_place_is_red(tmp_path):
    path = tmp_path / "figure.png"
    images.write(path, render.figure(grey(), spot(), "title", "note"))
    figure = cv2.imread(str(path)).astype(int)
    redness = figure[:, :, 2] - figure[:, :, :2].max(axis=2)
    row, column = np.unravel_index(redness.argmax(), redness.shape)
    # Panels are enlarged by 6: 16 px margin, 360 px photograph, 8 px gap, then the overlay.
    assert (row - 16) // 6 == pytest.approx(10, abs=1)
    assert (column - 16 - 360 - 8) // 6 == pytest.approx(45, abs=1)
    assert redness.max() > 60


def test_the_left_panel_is_the_photograph_itself():
    photograph = np.random.RandomState(0).randint(0, 256, (400, 500, 3)).astype(np.uint8)
    figure = render.figure(photograph, spot(400, 500), "title", "note")
    assert np.array_equal(figure[16:416, 16:516], photograph)


def test_a_small_photograph_is_enlarged_by_a_whole_factor():
    photograph = np.random.RandomState(0).randint(0, 256, (28, 28, 3)).astype(np.uint8)
    figure = render.figure(photograph, spot(28, 28), "title", "note")
    assert np.array_equal(figure[16:16 + 336:12, 16:16 + 336:12], photograph)


@pytest.mark.parametrize(
    "size, panel",
    [
        ((3000, 4000), (600, 800)),
        ((2000, 100), (800, 40)),
        ((10, 2000), (4, 800)),
        ((1, 1), (320, 320)),
    ],
)
def test_panels_stay_between_readable_bounds(size, panel):
    figure = render.figure(grey(*size), np.zeros(size, np.float32), "title", "note")
    width = max(2 * panel[1] + 8, 640) + 32
    assert figure.shape == (16 + panel[0] + 64, width, 3)


def test_the_caption_stands_on_white_below_the_panels():
    figure = render.figure(grey(400, 400), np.zeros((400, 400), np.float32), "Title", "note")
    empty = render.figure(grey(400, 400), np.zeros((400, 400), np.float32), "", "")
    assert np.array_equal(figure[:416], empty[:416])
    assert (empty[416:] == 255).all() and (figure[416:] < 128).any()


def test_a_long_caption_stays_inside_the_margins():
    figure = render.figure(grey(20, 20), np.zeros((20, 20), np.float32), "label " * 99, "n" * 999)
    assert (figure[-64:, :14] == 255).all() and (figure[-64:, -14:] == 255).all()


@pytest.mark.parametrize(
    "text, ascii_text",
    [
        (u"K\u00e4tzchen \u00e9t\u00e9", "Katzchen ete"),
        (u"\u732b cat\n", "? cat?"),
        (u"\ufb01sh", "fish"),
    ],
)
def test_captions_are_ascii(text, ascii_text):
    assert render.to_ascii(text) == ascii_text
