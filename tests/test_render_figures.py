"""Figures, looked at pixel by pixel."""

import cv2
import numpy as np
import pytest

from caffe_gradcam.model import images
from caffe_gradcam.pictures import render
from caffe_gradcam.pictures.render import Look, Panel, layout, text


def grey(height=40, width=60, level=128):
    return np.full((height, width, 3), level, np.uint8)


def noise(height, width):
    return np.random.RandomState(0).randint(0, 256, (height, width, 3)).astype(np.uint8)


def spot(height=40, width=60, row=10, column=45):
    """A heatmap with one hot place and nothing far from it."""
    rows, columns = np.mgrid[:height, :width]
    distance = np.hypot(rows - row, columns - column)
    return np.maximum(0, 1 - distance / 10).astype(np.float32)


def arranged(sheet):
    """The layout, with texts of 8 pixels a letter."""
    return layout.arrange(sheet, lambda line, style: 8 * len(line))


def rectangles(sheet):
    """(x, y, width, height) of each picture."""
    return [(picture.x, picture.y) + picture.pixels.shape[1::-1]
            for picture in arranged(sheet).pictures]


def lines(sheet):
    """(text, x, y, room) of each line."""
    return [(words.text, words.x, words.y, words.room) for words in arranged(sheet).words]


@pytest.mark.parametrize("extension", ["png", "jpg", "webp", "PNG"])
def test_in_the_written_file_the_hottest_place_is_red(tmp_path, extension):
    path = tmp_path / ("figure." + extension)
    images.write(path, render.figure(grey(), spot(), "title", "note"))
    # Panels are enlarged by 6: 16 px margin, 360 px image, 8 px gap, then the overlay.
    overlay = cv2.imread(str(path)).astype(int)[16:256, 384:744]
    redness = overlay[:, :, 2] - overlay[:, :, :2].max(axis=2)
    row, column = np.unravel_index(redness.argmax(), redness.shape)
    assert (row // 6, column // 6) == (pytest.approx(10, abs=1), pytest.approx(45, abs=1))
    assert redness.max() > 60


def test_the_left_panel_is_the_image_itself():
    image = noise(400, 500)
    figure = render.figure(image, spot(400, 500), "title", "note")
    assert np.array_equal(figure[16:416, 16:516], image)


def test_the_right_panel_is_the_overlay_itself():
    image, heat, look = noise(400, 500), spot(400, 500), Look("half", opacity=0.3)
    figure = render.figure(image, heat, look=look)
    assert np.array_equal(figure[16:416, 524:1024], render.overlay(image, heat, look))


def test_a_small_image_is_enlarged_by_a_whole_factor():
    image = noise(28, 28)
    figure = render.figure(image, spot(28, 28), "title", "note")
    assert np.array_equal(figure[16:16 + 336:12, 16:16 + 336:12], image)


@pytest.mark.parametrize(
    "size, panel",
    [
        ((3000, 4000), (600, 800)),
        ((2000, 100), (800, 40)),
        ((1, 1), (320, 320)),
    ],
)
def test_panels_stay_between_readable_bounds(size, panel):
    sheet = render.side_by_side(grey(*size), np.zeros(size, np.float32))
    first, second, _ = rectangles(sheet)
    assert first == (16, 16, panel[1], panel[0])
    assert second == (16 + panel[1] + 8, 16, panel[1], panel[0])


@pytest.mark.parametrize("size, panel", [((800, 1601), (399, 800)), ((10, 2000), (4, 800))])
def test_a_wide_image_stands_above_its_overlay(size, panel):
    sheet = render.side_by_side(grey(*size), np.zeros(size, np.float32))
    first, second, _ = rectangles(sheet)
    assert first == (16, 16, panel[1], panel[0])
    assert second == (16, 16 + max(96, panel[0]) + 8, panel[1], panel[0])


def test_each_panel_has_a_thin_grey_frame():
    figure = render.figure(grey(400, 500), spot(400, 500))
    assert (figure[15, 15:517] == 200).all() and (figure[15:417, 15] == 200).all()
    assert (figure[416, 15:517] == 200).all() and (figure[15:417, 516] == 200).all()
    assert (figure[14] == 255).all()


def test_the_caption_stands_on_white_below_the_panels():
    figure = render.figure(grey(400, 400), np.zeros((400, 400), np.float32), "Title", "note")
    empty = render.figure(grey(400, 400), np.zeros((400, 400), np.float32))
    assert figure.shape[0] == 16 + 400 + 66 and empty.shape[0] == 16 + 400 + 16
    assert np.array_equal(figure[:417], empty[:417])
    assert (empty[417:] == 255).all()
    title, note = figure[417:452, 16:], figure[452:, 16:]
    assert title.min() < 80 and 100 < note.min() < 160


def test_a_long_caption_stays_inside_the_margins():
    figure = render.figure(grey(20, 20), np.zeros((20, 20), np.float32), "label " * 99, "n" * 999)
    assert (figure[-64:, :14] == 255).all() and (figure[-64:, -14:] == 255).all()


def test_the_scale_shows_the_colours_from_one_down_to_zero():
    figure = render.figure(grey(400, 400), spot(400, 400), "t", "n")
    x = 16 + 400 + 8 + 400 + 16
    assert figure[16, x].tolist() == [0, 0, 128] and figure[415, x + 11].tolist() == [128, 0, 0]
    assert [line[0] for line in lines(render.side_by_side(grey(), spot()))] == ["1", "0.5", "0"]


def test_the_scale_of_a_signed_map_goes_down_to_minus_one():
    look = Look(colormap="blue-white-red")
    sheet = render.side_by_side(grey(), spot(), look=look)
    assert [line[0] for line in lines(sheet)] == ["1", "0", "-1"]
    bar = arranged(sheet).pictures[-1].pixels
    assert bar[[0, -1], 0].tolist() == [[20, 0, 150], [130, 40, 10]]


def test_a_style_without_colours_has_no_scale():
    assert len(rectangles(render.side_by_side(grey(), spot(), look=Look("masked")))) == 2


def test_boxes_are_drawn_with_their_outer_edge_on_the_box():
    drawn = render.draw_boxes(grey(50, 60), [(10, 12, 20, 15)])
    rows, columns = np.nonzero((drawn != 128).any(axis=2))
    assert (columns.min(), columns.max() + 1) == (10, 30)
    assert (rows.min(), rows.max() + 1) == (12, 27)
    assert (drawn[15:24, 13:27] == 128).all()
    assert drawn[13, 11].tolist() == [60, 220, 255]


def test_a_box_that_leaves_the_picture_ends_at_its_edge():
    drawn = render.draw_boxes(grey(50, 60), [(40, -5, 500, 20), (70, 70, 5, 5)])
    rows, columns = np.nonzero((drawn != 128).any(axis=2))
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (40, 59, 0, 14)


def test_a_figure_draws_the_boxes_on_the_overlay_at_its_size():
    figure = render.figure(grey(40, 60), np.zeros((40, 60), np.float32), boxes=[(10, 5, 20, 15)])
    rows, columns = np.nonzero((figure[16:256, 384:744] != 128).any(axis=2))
    assert (columns.min(), columns.max() + 1) == (60, 180)
    assert (rows.min(), rows.max() + 1) == (30, 120)
    assert (figure[16:256, 16:376] == 128).all()


def panels_of(*sizes):
    return [Panel(grey(*size)) for size in sizes]


def test_a_grid_lines_up_panels_of_any_sizes():
    rows = [panels_of((100, 300), (200, 150)), panels_of((300, 300), (300, 200))]
    assert rectangles(render.grid(rows, look=Look("masked"))) == [
        (16, 16, 300, 100), (324, 16, 150, 200), (16, 224, 300, 300), (324, 224, 200, 300),
    ]


def test_a_grid_may_have_empty_cells():
    first, second = panels_of((300, 300), (300, 300))
    sheet = render.grid([[first, None], [None, second]], look=Look("masked"))
    assert rectangles(sheet) == [(16, 16, 300, 300), (324, 324, 300, 300)]


def test_the_panels_of_a_wide_grid_are_smaller():
    sheet = render.grid([panels_of(*[(400, 400)] * 10)], look=Look("masked"))
    assert {rectangle[2:] for rectangle in rectangles(sheet)} == {(160, 160)}


def test_captions_stand_above_columns_and_beside_the_middle_of_rows():
    sheet = render.grid(
        [panels_of((300, 300), (300, 300))], rows=[("cat", "93 %")], columns=["one", "two"],
        look=Look("masked"),
    )
    # The row's caption takes 4 letters of 8 pixels and a gap of 16; a header line takes 18.
    assert [rectangle[:2] for rectangle in rectangles(sheet)] == [(64, 34), (372, 34)]
    assert lines(sheet) == [
        ("one", 64, 28, 300), ("two", 372, 28, 300),
        ("cat", 16, 179, 32), ("93 %", 16, 197, 32),
    ]


def test_a_heading_spans_the_columns_that_share_it():
    columns = [("conv4", "a"), ("conv4", "b"), ("conv5", "a")]
    sheet = render.grid(
        [panels_of((300, 300), (300, 300), (300, 300))], columns=columns, look=Look("masked")
    )
    headings = [line for line in lines(sheet) if line[0].startswith("conv")]
    assert headings == [("conv4", 16, 28, 608), ("conv5", 632, 28, 300)]


def test_a_panels_caption_stands_below_it_and_makes_room():
    rows = [[Panel(grey(300, 300), caption="empty")], panels_of((300, 300))]
    sheet = render.grid(rows, look=Look("masked"))
    assert lines(sheet) == [("empty", 16, 330, 300)]
    assert [rectangle[1] for rectangle in rectangles(sheet)] == [16, 16 + 300 + 18 + 8]


def test_a_panels_own_look_wins_over_the_grids():
    heat = spot(300, 300)
    rows = [[Panel(grey(300, 300), heat), Panel(grey(300, 300), heat, look=Look("half"))]]
    first, second, _ = arranged(render.grid(rows, look=Look("added"))).pictures
    assert np.array_equal(first.pixels, render.overlay(grey(300, 300), heat, Look("added")))
    assert np.array_equal(second.pixels, render.overlay(grey(300, 300), heat, Look("half")))


def test_a_crop_stands_beside_the_whole_that_shows_its_rectangle():
    image, heat = noise(400, 500), spot(320, 400)
    sheet = render.crop_and_whole(
        Panel(image, boxes=[(50, 40, 400, 320)]), Panel(image[40:360, 50:450], heat),
        ("whole", "crop"))
    whole, crop, _ = arranged(sheet).pictures
    rows, columns = np.nonzero((whole.pixels != image).any(axis=2))
    assert (columns.min(), columns.max() + 1, rows.min(), rows.max() + 1) == (50, 450, 40, 360)
    assert np.array_equal(whole.pixels[60:340, 70:430], image[60:340, 70:430])
    assert np.array_equal(crop.pixels, render.overlay(image[40:360, 50:450], heat))
    assert [line[0] for line in lines(sheet)][:2] == ["whole", "crop"]


def test_the_whole_may_have_an_overlay_of_its_own():
    image, heat = noise(400, 500), spot(400, 500, 200, 250)
    sheet = render.crop_and_whole(Panel(image, heat, boxes=[(0, 0, 50, 40)]),
                                  Panel(image[:40, :50], heat[:40, :50]))
    whole = arranged(sheet).pictures[0].pixels
    assert np.array_equal(whole[50:, 60:], render.overlay(image, heat)[50:, 60:])


def test_text_that_does_not_fit_is_cut_with_dots():
    def width_of(line, style):
        return 8 * len(line)

    assert text.cut("Egyptian cat", 96, text.TITLE, width_of) == "Egyptian cat"
    assert text.cut("Egyptian cat", 95, text.TITLE, width_of) == "Egyptian..."
    assert text.cut("Egyptian cat", 24, text.TITLE, width_of) == "..."
    assert text.cut("Egyptian cat", 23, text.TITLE, width_of) == ""


def test_text_is_drawn_where_it_is_measured():
    for style in (text.TITLE, text.CAPTION, text.TICK):
        picture = np.full((60, 400, 3), 255, np.uint8)
        text.write(picture, "HIM 93.2 % H", (20, 40), style)
        rows, columns = np.nonzero((picture < 200).any(axis=2))
        assert 19 <= columns.min() <= 24
        assert columns.max() == pytest.approx(20 + text.width("HIM 93.2 % H", style), abs=5)
        assert rows.max() <= 41 and rows.min() == pytest.approx(40 - 22 * style.scale, abs=3)


def test_text_beyond_the_picture_is_left_out():
    picture = np.full((20, 30, 3), 255, np.uint8)
    text.write(picture, "wide text", (-10, 4), text.TITLE)
    text.write(picture, "wide text", (10, 22), text.TITLE)
    text.write(picture, "wide text", (100, 200), text.TITLE)
    assert (picture < 100).any()


@pytest.mark.parametrize(
    "line, ascii_text",
    [
        (u"K\u00e4tzchen \u00e9t\u00e9", "Katzchen ete"),
        (u"\u732b cat\n", "? cat?"),
        (u"\ufb01sh", "fish"),
    ],
)
def test_captions_are_ascii(line, ascii_text):
    assert render.to_ascii(line) == ascii_text
