"""Maps of single pixels in figures."""

import numpy as np

from caffe_gradcam.pictures import figures


def test_the_highest_hundredth_is_drawn_like_the_percentile():
    heatmap = np.zeros((20, 10), np.float32)
    heatmap.flat[:101] = np.linspace(0.01, 0.2, 101)
    heatmap[0, 0] = 1
    capped = figures.without_outliers(heatmap)
    top = np.percentile(heatmap[heatmap > 0], 99)
    assert capped.max() == 1 and capped[0, 0] == 1
    assert capped[0, 5] == np.float32(heatmap[0, 5] / top)
    assert (capped[heatmap == 0] == 0).all()


def test_signs_stay():
    heatmap = np.array([[-1, -0.1, 0, 0.1]], np.float32)
    assert np.sign(figures.without_outliers(heatmap)).tolist() == [[-1, -1, 0, 1]]


def test_an_empty_map_stays_empty():
    assert not figures.without_outliers(np.zeros((2, 2), np.float32)).any()
