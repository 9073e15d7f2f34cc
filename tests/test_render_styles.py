"""Overlays in each style, by numbers worked out by hand."""

import cv2
import numpy as np
import pytest

from caffe_gradcam.pictures import render
from caffe_gradcam.pictures.render import STYLES, Look
from prototxt_tools.errors import InputError

# Two pixels, the left one cold, (128, 0, 0) in jet, the right one hot, (0, 0, 128).
PIXELS = np.uint8([[[100, 50, 200], [10, 20, 30]]])
HEAT = np.float32([[0, 1]])
COLOURED = [style for style in STYLES if style not in ("masked", "blurred")]


def painted(style, image=PIXELS, heat=HEAT, **settings):
    return render.overlay(image, heat, Look(style, **settings))[0].tolist()


def noise(height=40, width=60):
    return np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)


def cone(height=100, width=120, row=50, column=60, radius=40.0):
    """Heat that falls evenly from 1 at a place to 0 at a distance from it."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - row, columns - column)
    return np.maximum(0, 1 - distance / radius).astype(np.float32), distance


@pytest.mark.parametrize(
    "style, expected",
    [
        # Sums (228, 50, 200) and (10, 20, 158), times 255 / 228.
        ("added", [[255, 56, 224], [11, 22, 177]]),
        # 0.4 * 128 = 51.2 more.
        ("clipped", [[151, 50, 200], [10, 20, 81]]),
        ("half", [[114, 25, 100], [5, 10, 79]]),
        # 0.6 * 100 + 51.2, ..., 0.6 * 30 + 51.2.
        ("60-40", [[111, 30, 120], [6, 12, 69]]),
        ("bare", [[128, 0, 0], [0, 0, 128]]),
        # 0.15 * (100, 50, 200); half of it rounds to even.
        ("masked", [[15, 8, 30], [10, 20, 30]]),
    ],
)
def test_a_style_does_what_it_is_named_after(style, expected):
    assert painted(style) == expected


def test_our_own_style_leaves_the_cold_and_paints_the_hot():
    # 0.5 * (10, 20, 30) + 0.5 * (0, 0, 128)
    assert painted("fade", opacity=0.5) == [[100, 50, 200], [5, 10, 79]]


def test_our_own_style_weighs_by_the_root_of_the_heat():
    # Heat 0.25: weight 0.5 * 0.5; level 64 of jet.
    colour = cv2.applyColorMap(np.array([[64]], np.uint8), cv2.COLORMAP_JET)[0, 0]
    grey = np.full((1, 2, 3), 100, np.uint8)
    left = painted("fade", grey, np.float32([[0.25, 1]]), opacity=0.5)[0]
    assert left == np.rint(75 + 0.25 * colour.astype(float)).tolist()


def test_what_is_clipped_does_not_wrap_around():
    bright = np.full((1, 2, 3), 250, np.uint8)
    assert painted("clipped", bright) == [[255, 250, 250], [250, 250, 255]]


def test_sixty_forty_is_what_opencv_blends():
    image, heat = noise(), cone(40, 60, 10, 45, 20)[0]
    colours = cv2.applyColorMap(np.uint8(np.rint(255 * heat)), cv2.COLORMAP_JET)
    blend = cv2.addWeighted(image, 0.6, colours, 0.4, 0).astype(int)
    # OpenCV may round the other way where a sum ends in one half.
    assert np.abs(render.overlay(image, heat, Look("60-40")) - blend).max() <= 1


def test_opacity_and_colormap_are_settings():
    # 0.75 * (100, 50, 200); 0.75 * (10, 20, 30) + 0.25 * 255
    expected = [[75, 38, 150], [71, 79, 86]]
    assert painted("half", opacity=0.25, colormap="bone") == expected


def test_the_image_is_unchanged_where_the_heat_is_zero():
    image, heat = noise(), cone(40, 60, 10, 45, 20)[0]
    out = render.overlay(image, heat)
    assert np.array_equal(out[heat == 0], image[heat == 0])
    assert (out[heat > 0.5] != image[heat > 0.5]).any(axis=1).all()


def test_a_signed_map_is_clear_at_zero_blue_below_and_red_above():
    grey = np.full((1, 3, 3), 100, np.uint8)
    below, zero, above = painted(
        "fade", grey, np.float32([[-1, 0, 1]]), opacity=0.5, colormap="blue-white-red"
    )
    assert zero == [100, 100, 100]
    assert below == [115, 70, 55] and above == [60, 50, 125]


@pytest.mark.parametrize("style", COLOURED)
@pytest.mark.parametrize("level", [0, 1, 0.4, -0.3])
def test_a_flat_map_draws_as_nothing(style, level):
    flat = np.full((40, 60), level, np.float32)
    assert np.array_equal(render.overlay(noise(), flat, Look(style)), noise())


@pytest.mark.parametrize("style", COLOURED)
def test_an_all_negative_map_draws_as_nothing(style):
    negative = cone(40, 60)[0] - 2
    assert np.array_equal(render.overlay(noise(), negative, Look(style)), noise())


@pytest.mark.parametrize("level", [0, 1, -0.3])
def test_a_mask_keeps_nothing_of_a_flat_map(level):
    flat = np.full((40, 60), level, np.float32)
    masked = render.overlay(noise(), flat, Look("masked", opacity=1))
    assert (masked == 0).all()


@pytest.mark.parametrize("style", ["masked", "blurred"])
def test_a_mask_keeps_what_is_at_least_the_threshold(style):
    image, heat = noise(100, 120), cone()[0]
    out = render.overlay(image, heat, Look(style, threshold=0.3))
    kept = (out == image).all(axis=2)
    assert kept[heat >= 0.3].all() and not kept[heat < 0.3].any()


def test_what_is_out_of_focus_is_grey_and_smooth():
    heat = cone()[0]
    out = render.overlay(noise(100, 120), heat, Look("blurred")).astype(int)
    assert np.ptp(out, axis=2)[heat < 0.5].max() == 0
    assert np.abs(np.diff(out[:5, :, 0], axis=1)).max() < 30


def test_a_contour_runs_where_the_heat_crosses_its_level():
    heat, distance = cone()
    image = np.full((100, 120, 3), 255, np.uint8)
    out = render.overlay(image, heat, Look("contours", levels=(0.5,)))
    changed = (out != image).any(axis=2)
    # Level 0.5 of a cone of radius 40 is a circle of radius 20; the line has soft edges.
    assert np.abs(distance[changed] - 20).max() < 3.5
    assert changed[np.abs(distance - 20) < 0.3].all()


def test_a_contour_lies_between_pixels_where_the_heat_says_so():
    # Heat x / 100 crosses 0.5 at column 50 and 0.505 halfway to the next.
    heat = np.tile(np.arange(100, dtype=np.float32) / 100, (60, 1))
    image = np.full((60, 100, 3), 255, np.uint8)

    def darkness(level):
        look = Look("contours", levels=(level,), colormap="bone")
        row = render.overlay(image, heat, look)[30, :90].astype(float)
        weight = 255 - row.mean(axis=1)
        return (weight * np.arange(90)).sum() / weight.sum()

    assert darkness(0.5) == pytest.approx(50, abs=0.1)
    assert darkness(0.505) == pytest.approx(50.5, abs=0.1)


def test_each_contour_has_the_colour_of_its_level():
    heat, distance = cone()
    out = render.overlay(np.zeros((100, 120, 3), np.uint8), heat, Look("contours"))
    for level in (0.25, 0.5, 0.75):
        on_line = np.abs(distance - 40 * (1 - level)) < 0.3
        colour = render.apply_colormap(np.float32([[level]]))[0, 0].astype(float)
        assert np.abs(out[on_line].mean(axis=0) - colour).max() < 60


def test_a_signed_map_has_contours_below_zero_too():
    heat = np.concatenate([cone()[0], -cone()[0]], axis=1)
    look = Look("contours", levels=(0.5,), colormap="blue-white-red")
    out = render.overlay(np.zeros((100, 240, 3), np.uint8), heat, look).astype(int)
    left, right = out[:, :120].sum(axis=(0, 1)), out[:, 120:].sum(axis=(0, 1))
    assert left[2] > 1.5 * left[0] and right[0] > 1.5 * right[2]


@pytest.mark.parametrize(
    "arguments, settings, message",
    [
        (["neon"], {}, "no style 'neon'; known: fade, added, clipped, half"),
        (["masked"], {"colormap": "jet"}, "'masked' does not use colormap; it uses opacity and"),
        (["half"], {"threshold": 0.5}, "'half' does not use threshold"),
        (["half"], {"opacity": 40}, "opacity must be between 0 and 1, not 40"),
        (["half"], {"opacity": float("nan")}, "opacity must be between 0 and 1, not nan"),
        (["contours"], {"levels": (0.5, 2)}, "levels must be between 0 and 1"),
        (["contours"], {"levels": (0, 0.5)}, "levels of contours must be above 0"),
        (["half"], {"colormap": "virids"}, "no colormap 'virids'"),
    ],
)
def test_a_look_that_cannot_be_is_refused(arguments, settings, message):
    with pytest.raises(InputError, match=message):
        Look(*arguments, **settings)


def test_a_setting_of_none_is_the_styles_own():
    assert Look("half", opacity=None, threshold=None).settings == {}


@pytest.mark.parametrize(
    "heat, message",
    [
        (np.zeros((60, 40), np.float32), "the map is 60x40 and the image 40x60"),
        (np.full((40, 60), np.nan, np.float32), "NaN"),
        (np.full((40, 60), np.inf, np.float32), "infinity"),
    ],
)
def test_a_map_that_cannot_be_shown_is_refused(heat, message):
    with pytest.raises(InputError, match=message):
        render.overlay(noise(), heat)
