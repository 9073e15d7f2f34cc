"""Where the cells of a map lie on the image, and the other way round."""

import cv2
import numpy as np
import pytest
from definitions import Builder, write_model
from hypothesis import example, given, settings
from hypothesis import strategies as st

from caffe_gradcam.explaining import combine
from caffe_gradcam.model.geometry import Geometry, Placement
from caffe_gradcam.model.model import LoadedModel
from caffe_gradcam.model.preprocess import Preprocessing, to_blobs
from prototxt_tools.errors import InputError
from prototxt_tools.reports.receptive import Field

WHOLE = Geometry((8, 8), (0.0, 0.0, 8.0, 8.0))


def test_border_cells_go_on_to_the_edge_and_are_not_stretched_over_it():
    # Centres at 3 and 5 of 8 pixels.
    placement = Placement((0.5, 1.0), (0.375, 0.25))
    placed = Geometry((1, 8), (0, 0, 8, 1)).to_image(np.float32([[0, 4]]), placement)
    assert placed[0].tolist() == [0, 0, 0, 1, 3, 4, 4, 4]


def test_centres_beyond_the_edge_are_cut_off():
    # Centres at -1, 3 and 7 of 6 pixels.
    placement = Placement((0.5, 1.0), (-1 / 6.0, 4 / 6.0))
    placed = Geometry((1, 6), (0, 0, 6, 1)).to_image(np.float32([[0, 4, 8]]), placement)
    assert placed[0] == pytest.approx([1.5, 2.5, 3.5, 4.5, 5.5, 6.5])


def test_a_mirrored_rectangle_turns_the_map_round():
    placed = Geometry((1, 4), (4, 0, 0, 1)).to_image(np.float32([[1, 2, 3, 4]]))
    assert placed[0].tolist() == [4, 3, 2, 1]


def test_of_a_field_the_centre_of_pixel_0_is_half_a_pixel_in():
    placement = Placement.of_field(Field((7, 5), (4, 2), (1, 0.5)), (12, 10))
    assert placement.rows == pytest.approx((1.5 / 12, 4 / 12.0))
    assert placement.columns == pytest.approx((0.1, 0.2))


def convolutions():
    b = Builder("strides", (1, 1, 61, 77))
    x = b.pool("pool1", b.conv_relu("conv1", "data", 2, 3, stride=2), 3, 2)
    x = b.conv_relu("conv2", b.pool("pool2", b.conv_relu("wide", x, 2, 3, pad=1), 2, 2, 1), 2, 3)
    b.softmax(b.fc("score", b.global_average("mean", x), 2))
    return b.text()


@pytest.mark.parametrize("blob", ["conv1", "pool1", "wide", "pool2", "conv2"])
def test_cells_stand_in_the_middle_of_the_pixels_that_move_them(torch, tmp_path, blob):
    """Each row and each column of the input is made bright, and the cells that move are noted."""
    from opened import open_net

    from prototxt_tools import weights

    path, learned = write_model(tmp_path, convolutions())
    weights.save(learned, {name: [np.abs(one) + 0.01 for one in arrays]
                           for name, arrays in weights.load(learned).items()})
    model = LoadedModel.load(path, mean="none")
    lines = np.ones((61 + 77 + 1, 1, 61, 77), np.float32)
    for row in range(61):
        lines[row, :, row] = 100
    for column in range(77):
        lines[61 + column, :, :, column] = 100
    with open_net("torch", model.prototxt, learned, ["score"], [blob]) as engine:
        cells = engine.forward({"data": lines}, [blob])[blob].max(axis=1)
    moved = np.abs(cells[:-1] - cells[-1]) > 1e-3 * cells[-1]
    centres = model.placements([blob])[blob].centres(cells.shape[1:])
    for seen, centre, length in ((moved[:61].any(axis=2), centres[0], 61),
                                 (moved[61:].any(axis=1), centres[1], 77)):
        whole = ~(seen[0] | seen[-1])  # The fields of the others go over the edge.
        assert whole.sum() >= 3
        middles = [np.nonzero(cell)[0][[0, -1]].mean() + 0.5 for cell in seen.T[whole]]
        np.testing.assert_allclose(centre[whole] * length, middles, atol=1e-9)


def spot(height, width, at, radius):
    image = np.zeros((height, width, 3), np.uint8)
    cv2.circle(image, at, radius, (255, 255, 255), -1)
    return image


def means(blobs, stride):
    """Average pooling, which is what a net sees at its coarsest, and where its cells lie."""
    views, _, height, width = blobs.shape
    cells = blobs[:, 0].reshape(views, height // stride, stride, width // stride, stride)
    field = Field((stride,) * 2, (stride,) * 2, ((stride - 1) / 2.0,) * 2)
    return cells.mean(axis=(2, 4)), Placement.of_field(field, (height, width))


PREPROCESSINGS = {
    "warp": dict(resize=(48, 48)),
    "centre crop": dict(resize=64, crop=(48, 48)),
    "crop as it is": dict(crop=(48, 48)),
    "letterbox": dict(resize="letterbox"),
    "ten crops": dict(resize=60, crop=(48, 48), crops=10),
    "ten crops of a warp": dict(resize=(60, 56), crop=(48, 48), crops=10),
}


def seen_in(geometry, x, y, margin):
    x0, y0, x1, y1 = geometry.rectangle
    across, down = sorted((x0, x1)), (y0, y1)
    return all(low + margin < value < high - margin
               for (low, high), value in ((across, x), (down, y)))


@settings(max_examples=60, deadline=None)
@example("ten crops", 145, 71, 0.3661971830985916, 0.1, 2)
@given(st.sampled_from(sorted(PREPROCESSINGS)), st.integers(70, 200), st.integers(70, 200),
       st.floats(0.1, 0.9), st.floats(0.1, 0.9), st.sampled_from([2, 4, 8]))
def test_a_bright_spot_lands_where_it_is(name, height, width, across, down, stride):
    preprocessing = Preprocessing((48, 48), channel_order="GRAY", **PREPROCESSINGS[name])
    x, y, radius = int(across * width), int(down * height), max(height, width) // 24
    blobs, geometries = to_blobs(spot(height, width, (x, y), radius), preprocessing)
    cells, placement = means(blobs, stride)
    maps = [(cell, geometry, placement) for cell, geometry in zip(cells, geometries)
            if seen_in(geometry, x, y, 2 * radius)]
    if len(maps) and len(cells) > 1:
        maps.append(combine.merge(cells, geometries, placement))
    for cam, geometry, where in maps:
        placed = geometry.to_image(cam, where)
        rows, columns = np.nonzero(placed > 0.9 * placed.max())
        x0, y0, x1, y1 = geometries[0].rectangle
        cell_width, cell_height = (x1 - x0) / 48 * stride, (y1 - y0) / 48 * stride
        assert abs(columns.mean() - x) <= cell_width + 1
        assert abs(rows.mean() - y) <= cell_height + 1


def test_a_letterbox_puts_nothing_on_the_image_from_its_bars():
    blobs, geometries = to_blobs(np.full((40, 80, 3), 200, np.uint8), Preprocessing(
        (48, 48), "GRAY", resize="letterbox"))
    assert geometries[0].rectangle == pytest.approx((0, -20, 80, 60))
    bars = np.ones((48, 48), np.float32)
    bars[12:36] = 0
    placed = geometries[0].to_image(bars)
    assert placed[2:-2].max() == 0 and blobs[0, 0, :12].max() == 0


BOXES = [
    ((0, 0, 2, 2), [[1, 0], [0, 0]]),
    ((0, 0, 8, 4), [[0.5, 0.5], [0, 0]]),
    ((0, 0, 8, 8), [[0.25, 0.25], [0.25, 0.25]]),
    ((7, 0, 1, 1), [[0, 1], [0, 0]]),  # No centre in it: the nearest cell.
    ((3, 4, 1, 1), [[0, 0], [1, 0]]),
]


@pytest.mark.parametrize("box, expected", BOXES)
def test_a_box_falls_to_the_cells_whose_centres_it_holds(box, expected):
    assert WHOLE.cells_of(box, (2, 2)).tolist() == expected


@pytest.mark.parametrize("box, expected", BOXES)
def test_a_mask_falls_to_the_same_cells_as_its_box(box, expected):
    mask = np.zeros((8, 8), bool)
    mask[box[1]:box[1] + box[3], box[0]:box[0] + box[2]] = True
    assert WHOLE.cells_of(mask, (2, 2)).tolist() == expected


def test_the_cells_of_a_region_are_sought_where_they_are_placed():
    # Centres at 4 and 6: the box holds the first alone, which stretched stands at 2.
    placement = Placement((0.5, 0.25), (0.5, 0.25))
    assert WHOLE.cells_of((3, 3, 2, 2), (2, 2), placement).tolist() == [[1, 0], [0, 0]]


def test_a_region_in_a_crop_and_in_its_mirror_image():
    crop = Geometry((8, 16), (4, 0, 12, 8))
    mirrored = Geometry((8, 16), (12, 0, 4, 8))
    assert crop.cells_of((4, 0, 4, 4), (2, 2)).tolist() == [[1, 0], [0, 0]]
    assert mirrored.cells_of((4, 0, 4, 4), (2, 2)).tolist() == [[0, 1], [0, 0]]


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 7), st.floats(0, 7), st.floats(0.5, 8), st.floats(0.5, 8),
       st.integers(1, 9), st.integers(1, 9))
def test_shares_of_a_region_sum_to_one(x, y, width, height, rows, columns):
    if x + width / 2 <= 8 and y + height / 2 <= 8:
        shares = WHOLE.cells_of((x, y, width, height), (rows, columns))
        assert shares.shape == (rows, columns) and shares.min() >= 0
        assert shares.sum() == pytest.approx(1)


@pytest.mark.parametrize("region, problem", [
    ((9, 0, 2, 2), "outside the part"), ((-9, 0, 2, 2), "outside the part"),
    (np.zeros((8, 8)), "mask is empty"),
    (np.ones((8, 9)), "mask is 8x9, but the image is 8x8"),
    ([1, 2, 3, 4], r"a region must be \(x, y, width, height\) or a mask"),
])
def test_regions_that_are_not_on_the_image_are_refused(region, problem):
    with pytest.raises(InputError, match=problem):
        WHOLE.cells_of(region, (2, 2))
