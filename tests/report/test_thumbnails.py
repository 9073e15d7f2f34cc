"""Maps and pictures at the size of a page."""

import cv2
import numpy as np
import pytest
from outputs import explanation

from caffe_gradcam.report import thumbnails
from caffe_gradcam.report.objects import Objects


def test_a_small_heatmap_is_the_large_one_reduced():
    shown = thumbnails.of_explanation(explanation(0, (2, 3)))
    large = cv2.resize(explanation(0, (2, 3)).heatmap, shown.heat.shape[::-1],
                       interpolation=cv2.INTER_AREA)
    assert shown.heat.shape == (72, 96) and shown.heat.max() == 255
    assert np.abs(shown.heat / 255 - large / large.max()).max() < 0.1


def test_a_map_finer_than_the_page_is_averaged():
    fine = explanation(0, (0, 0), cells=(600, 800))
    assert thumbnails.of_explanation(fine).heat.shape == (72, 96)
    assert thumbnails.of_explanation(fine).cam is None
    assert thumbnails.of_explanation(explanation(0)).cam.shape == (6, 8)


@pytest.mark.parametrize("boxes, share", [
    ([(0, 0, 20, 10)], 0.5), ([(0, 0, 20, 20)], 0.0), ([(40, 0, 9, 9)], 1.0),
    ([(0, 0, 10, 20), (5, 0, 15, 20)], 0.0), ([], None)])
def test_the_share_outside_is_that_of_the_heat(boxes, share):
    heat = np.zeros((6, 8))
    heat[:2, :2] = 1  # of 10 x 10 pixels each
    assert Objects(boxes).share_outside(heat, (60, 80)) == share


def test_a_map_without_heat_lies_nowhere():
    assert Objects([(0, 0, 9, 9)]).share_outside(np.zeros((6, 8)), (60, 80)) is None


def test_a_mask_counts_by_the_share_of_each_cell():
    heat, mask = np.zeros((6, 8)), np.zeros((60, 80), bool)
    heat[:2, :2] = 1  # of 10 x 10 pixels each
    mask[:10, 5:20] = True
    assert Objects([(5, 0, 15, 10)], mask).share_outside(heat, (60, 80)) == pytest.approx(0.625)


def test_a_picture_is_reduced_and_never_enlarged():
    image = np.zeros((60, 80, 3), np.uint8)
    for side, shape in ((40, (30, 40, 3)), (200, (60, 80, 3))):
        data = np.frombuffer(thumbnails.to_jpeg(image, side), np.uint8)
        assert cv2.imdecode(data, 1).shape == shape
