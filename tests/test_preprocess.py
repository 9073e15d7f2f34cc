"""Image -> blob, and the way back."""

import cv2
import numpy as np
import pytest

from caffe_gradcam.model.geometry import Geometry
from caffe_gradcam.model.preprocess import Preprocessing, to_blobs
from prototxt_tools.errors import InputError


def plain(height, width, bgr=(10, 20, 30)):
    return np.full((height, width, 3), bgr, np.uint8)


def ramp(height, width):
    """Every pixel different: blue counts columns, green counts rows."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 0] = np.arange(width)
    image[:, :, 1] = np.arange(height)[:, np.newaxis]
    image[:, :, 2] = 200
    return image


def the_only_view(image, preprocessing):
    (blob,), (geometry,) = to_blobs(image, preprocessing)
    return blob, geometry


def blob_of(image, **fields):
    return the_only_view(image, Preprocessing(**fields))[0]


def test_bgr_keeps_opencvs_channel_order():
    assert blob_of(plain(4, 4), size=(4, 4))[:, 0, 0].tolist() == [10, 20, 30]


def test_rgb_turns_the_channels_round():
    blob = blob_of(plain(4, 4), size=(4, 4), channel_order="RGB")
    assert blob[:, 0, 0].tolist() == [30, 20, 10]


def test_grey_weighs_the_colours_as_opencv_does():
    blob = blob_of(plain(4, 4), size=(4, 4), channel_order="GRAY")
    assert blob.shape == (1, 4, 4)
    assert blob[0, 0, 0] == pytest.approx(0.114 * 10 + 0.587 * 20 + 0.299 * 30, abs=1e-4)


def test_a_blob_is_contiguous_float32():
    blob = blob_of(plain(8, 4), size=(4, 4), resize=(4, 4), channel_order="RGB")
    assert blob.dtype == np.float32 and blob.flags["C_CONTIGUOUS"]


def test_the_mean_is_subtracted_in_the_nets_channel_order_and_then_scaled():
    blob = blob_of(
        plain(4, 4), size=(4, 4), channel_order="RGB", mean=np.array([1, 2, 3]), scale=0.5
    )
    assert blob[:, 0, 0].tolist() == [14.5, 9, 3.5]


def test_one_mean_value_serves_all_channels():
    blob = blob_of(plain(4, 4), size=(4, 4), mean=np.array([127.5]), scale=2.0)
    assert blob[:, 0, 0].tolist() == [-235, -215, -195]


def test_resizing_does_not_round_to_whole_grey_levels():
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = 255
    blob = blob_of(image, size=(1, 4), resize=(1, 4))
    assert blob[0, 0].tolist() == [0, 63.75, 191.25, 255]


def test_the_image_itself_is_never_changed():
    image = plain(4, 4)
    blob_of(image, size=(4, 4), mean=np.array([9.0, 9, 9]), scale=3.0)
    assert np.array_equal(image, plain(4, 4))


def test_without_resize_and_crop_the_image_must_fit():
    with pytest.raises(InputError, match="4x6 after resize and crop.*input is 4x4"):
        the_only_view(plain(4, 6), Preprocessing(size=(4, 4)))


def test_a_warp_shows_the_whole_image():
    _, geometry = the_only_view(plain(30, 50), Preprocessing(size=(10, 10), resize=(10, 10)))
    assert geometry == Geometry((30, 50), (0, 0, 50, 30))


def test_a_centre_crop_takes_the_middle_pixels():
    blob, geometry = the_only_view(ramp(10, 13), Preprocessing(size=(4, 4), crop=(4, 4)))
    assert blob[0, 0].tolist() == [4, 5, 6, 7]
    assert blob[1, :, 0].tolist() == [3, 4, 5, 6]
    assert geometry.rectangle == (4, 3, 8, 7)


def test_resize_by_the_short_side_then_crop():
    # 360 x 480 -> 256 x 341 (341.33 rounded); crop 227: 14 rows above, 57 columns to the left.
    _, geometry = the_only_view(
        plain(360, 480), Preprocessing(size=(227, 227), resize=256, crop=(227, 227))
    )
    x, y = 480 / 341.0, 360 / 256.0
    assert geometry.image_size == (360, 480)
    assert geometry.rectangle == pytest.approx((57 * x, 14 * y, 284 * x, 241 * y))


def test_a_tall_image_keeps_its_proportions_too():
    _, geometry = the_only_view(
        plain(40, 20), Preprocessing(size=(10, 10), resize=10, crop=(10, 10)))
    assert geometry.rectangle == (0, 10, 20, 30)


def test_an_image_smaller_than_the_crop_is_refused():
    with pytest.raises(InputError, match="3x9 before the crop of 4x4"):
        the_only_view(plain(3, 9), Preprocessing(size=(4, 4), crop=(4, 4)))


def test_a_mean_image_of_the_resized_size_is_cropped_with_the_image():
    mean = ramp(8, 8).transpose(2, 0, 1).astype(np.float32)
    blob = blob_of(ramp(8, 8), size=(4, 4), resize=(8, 8), crop=(4, 4), mean=mean)
    assert np.array_equal(blob, np.zeros((3, 4, 4)))


def test_a_larger_mean_image_is_cropped_in_its_centre():
    mean = ramp(8, 8).transpose(2, 0, 1).astype(np.float32)
    blob = blob_of(plain(4, 4, (0, 0, 0)), size=(4, 4), mean=mean)
    assert blob[0, 0].tolist() == [-2, -3, -4, -5]
    assert blob[1, :, 0].tolist() == [-2, -3, -4, -5]


def test_a_smaller_mean_image_is_resized():
    mean = np.zeros((3, 1, 2), np.float32)
    mean[:, 0, 1] = 100
    blob = blob_of(plain(1, 4, (0, 0, 0)), size=(1, 4), mean=mean)
    assert blob[0, 0].tolist() == [0, -25, -75, -100]


def test_one_cell_fills_its_rectangle_and_nothing_else():
    placed = Geometry((4, 6), (1, 1, 5, 3)).to_image(np.ones((1, 1), np.float32))
    expected = np.zeros((4, 6))
    expected[1:3, 1:5] = 1
    assert np.array_equal(placed, expected)


def test_cells_stand_at_their_centres_and_are_joined_by_straight_lines():
    placed = Geometry((1, 8), (0, 0, 8, 1)).to_image(np.array([[0.0, 1.0]]))
    assert placed[0] == pytest.approx([0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1])


def test_a_rectangle_may_begin_between_pixels():
    placed = Geometry((1, 6), (0.75, 0, 4.75, 1)).to_image(np.array([[0.0, 4.0]]))
    # Centres of the cells at 1.75 and 3.75; pixels 1..4 have their centres inside.
    assert placed[0] == pytest.approx([0, 0, 1.5, 3.5, 4, 0])


def test_over_the_whole_image_it_is_cv2_resize():
    cells = np.random.RandomState(0).randn(13, 14).astype(np.float32)
    placed = Geometry((360, 480), (0, 0, 480, 360)).to_image(cells)
    assert placed.dtype == np.float32
    assert np.abs(placed - cv2.resize(cells, (480, 360))).max() < 1e-5


def test_there_and_back_a_point_lands_where_it_was():
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(image, (250, 120), 12, (255, 255, 255), -1)
    blob, geometry = the_only_view(
        image, Preprocessing(size=(56, 56), resize=64, crop=(56, 56), channel_order="GRAY")
    )
    back = geometry.to_image(blob[0])
    rows, columns = np.nonzero(back > 128)
    assert abs(columns.mean() - 250) < 1 and abs(rows.mean() - 120) < 1
