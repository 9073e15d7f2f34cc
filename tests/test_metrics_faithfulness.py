"""Deletion, insertion, average drop and ROAD: by hand, and against other implementations."""

import importlib.util
import os
import sys
import types

import numpy as np
import pytest

from caffe_gradcam.measuring.metrics import curves, masking, road
from prototxt_tools.errors import InputError

BLOB = np.float32([[[1, 2], [3, 4]]])
HEAT = np.float32([[0.1, 0.5], [1, 0]])


def means(blobs):
    """Of a net whose value is the mean of its input."""
    return [float(blob.mean()) for blob in blobs]


def test_deletion_takes_the_hottest_pixels_first():
    # 1, 2, 3, 4 lose 3, then 2, then 1, then 4.
    assert means(curves.deletion(BLOB, HEAT, steps=4)) == [2.5, 1.75, 1.25, 1, 0]


def test_deletion_puts_the_baseline_where_pixels_were():
    blobs = curves.deletion(BLOB, HEAT, baseline=np.full_like(BLOB, 8), steps=2)
    assert [blob.tolist() for blob in blobs] == [
        [[[1, 2], [3, 4]]], [[[1, 8], [8, 4]]], [[[8, 8], [8, 8]]]]


def test_insertion_brings_the_hottest_pixels_first():
    blobs = curves.insertion(BLOB, HEAT, baseline=np.zeros_like(BLOB), steps=4)
    assert means(blobs) == [0, 0.75, 1.25, 1.5, 2.5]


def test_an_area_is_that_of_trapezoids():
    assert curves.area([2.5, 1.75, 1.25, 1, 0]) == (2.5 / 2 + 1.75 + 1.25 + 1) / 4
    assert curves.area([1, 1, 1]) == 1
    assert curves.area([1, 0]) == 0.5


def test_insertion_starts_from_a_blurred_picture():
    blob = np.zeros((1, 40, 40), np.float32)
    blob[0, 20, 20] = 1
    start, _, end = curves.insertion(blob, blob[0], steps=2)
    # A point becomes a Gaussian of deviation 40 / 20.
    assert start[0, 20, 20] == pytest.approx(1 / (2 * np.pi * 4), rel=0.02)
    assert start[0, 20, 22] / start[0, 20, 20] == pytest.approx(np.exp(-0.5), rel=0.01)
    assert np.array_equal(end, blob)


def test_steps_that_do_not_divide_the_pixels_take_one_more_or_less():
    pixels = np.ones((1, 1, 10), np.float32)
    blobs = curves.deletion(pixels, np.float32([np.arange(10)]), steps=4)
    assert means(blobs) == pytest.approx([1, 0.8, 0.5, 0.2, 0])


def test_equally_hot_pixels_come_in_a_random_order_that_a_seed_repeats():
    heat = np.zeros((20, 20), np.float32)
    heat[10, 10] = 1
    order = curves.hottest_first(heat, seed=1)
    assert order[0] == 210
    assert sorted(order) == list(range(400))
    assert abs(order[1:200].mean() - 200) < 25  # half of them, from all over the picture
    assert np.array_equal(order, curves.hottest_first(heat, seed=1))
    assert not np.array_equal(order, curves.hottest_first(heat, seed=2))


def test_only_what_is_hot_shows_through():
    shown = masking.shown_through(BLOB, np.float32([[0, 0.5], [1, 0.25]]))
    assert shown.tolist() == [[[0, 1], [3, 1]]]
    other = masking.shown_through(BLOB, np.float32([[0, 0.5], [1, 0.25]]), np.full_like(BLOB, 8))
    assert other.tolist() == [[[8, 5], [3, 7]]]


def test_average_drop_counts_what_is_lost_and_no_gains():
    # Drops of a half, nothing (a gain) and all.
    assert masking.drops([0.8, 0.5, 0.2], [0.4, 0.6, 0]).tolist() == [0.5, 0, 1]
    assert masking.increases([0.8, 0.5, 0.2], [0.4, 0.6, 0]).tolist() == [0, 1, 0]


def test_no_part_of_a_value_that_is_not_positive_can_be_lost():
    assert np.isnan(masking.drops([0, -2], [-1, -3])).all()
    assert masking.drops([2], [-1]).tolist() == [1]


def test_a_removed_pixel_is_the_weighted_mean_of_its_neighbours():
    blob = np.float32([[[12, 24, 0], [36, 99, 0], [48, 0, 60]]])
    removed = np.zeros((3, 3), bool)
    removed[1, 1] = True
    # Beside: (24 + 36 + 0 + 0) / 6, across a corner: (12 + 0 + 48 + 60) / 12.
    filled = road.imputed(blob, removed, noise=0)
    assert filled[0, 1, 1] == pytest.approx(20)
    assert np.array_equal(filled[0][~removed], blob[0][~removed])


def test_neighbours_beyond_the_edge_count_nothing():
    blob = np.float32([[[99, 6], [12, 30]]])
    removed = np.array([[True, False], [False, False]])
    assert road.imputed(blob, removed, noise=0)[0, 0, 0] == pytest.approx((2 * 6 + 2 * 12 + 30) / 5)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(3, 5, 7), (1, 20, 13), (2, 31, 30)])
def test_holes_are_filled_as_the_system_of_equations_says(shape, fraction):
    random = np.random.RandomState(0)
    blob = random.randn(*shape).astype(np.float32) * 50
    removed = random.random_sample(shape[1:]) < fraction
    removed[1:4, 1:6] = True
    removed[-1, -1] = False
    exact = solved(blob, removed)
    assert np.abs(road.imputed(blob, removed, noise=0) - exact).max() < 0.01 * blob.std()


def solved(blob, removed):
    """By dense linear algebra."""
    height, width = removed.shape
    pixels = height * width
    weights = np.zeros((pixels, pixels))
    for one in range(pixels):
        for other in range(pixels):
            down, across = abs(one // width - other // width), abs(one % width - other % width)
            if max(down, across) == 1:
                weights[one, other] = 1.0 if down and across else 2.0
    system = np.diag(weights.sum(axis=1)) - weights
    hole = removed.ravel()
    planes = blob.reshape(len(blob), -1).T.astype(np.float64)
    known = np.dot(weights[np.ix_(hole, ~hole)], planes[~hole])
    planes[hole] = np.linalg.solve(system[np.ix_(hole, hole)], known)
    return planes.T.reshape(blob.shape)


def test_imputation_agrees_with_that_of_pytorch_grad_cam(torch, monkeypatch):
    random = np.random.RandomState(0)
    blob = random.randn(3, 24, 24).astype(np.float32)
    kept = random.random_sample((24, 24)) < 0.6
    imputer = pytorch_grad_cam_road(monkeypatch).NoisyLinearImputer(noise=0)
    expected = imputer(torch.tensor(blob), torch.tensor(kept, dtype=torch.float32)).numpy()
    assert np.abs(road.imputed(blob, ~kept, noise=0) - expected).max() < 0.005


def pytorch_grad_cam_road(monkeypatch):
    """The one module, without the rest of the package, which wants torchvision and more."""
    package = importlib.util.find_spec("pytorch_grad_cam")
    if package is None:
        pytest.skip("grad-cam is not installed here")
    pytest.importorskip("scipy", reason="scipy is not installed here")
    for name in ("pytorch_grad_cam", "pytorch_grad_cam.metrics"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(
        sys.modules, "pytorch_grad_cam.metrics.perturbation_confidence",
        types.SimpleNamespace(**dict.fromkeys((
            "PerturbationConfidenceMetric", "AveragerAcrossThresholds", "RemoveMostRelevantFirst",
            "RemoveLeastRelevantFirst"), object)),
    )
    path = os.path.join(package.submodule_search_locations[0], "metrics", "road.py")
    spec = importlib.util.spec_from_file_location("pytorch_grad_cam_road", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_noise_is_a_hundredth_of_the_pictures_deviation_and_only_in_holes():
    blob = np.random.RandomState(0).randn(3, 60, 60).astype(np.float32) * 70
    removed = np.zeros((60, 60), bool)
    removed[:, 20:] = True
    added = road.imputed(blob, removed, rng=np.random.RandomState(1))
    added -= road.imputed(blob, removed, noise=0)
    assert added[:, removed].std() == pytest.approx(0.7, rel=0.05)
    assert not added[:, ~removed].any()


@pytest.mark.parametrize("level, spread", [(0, 0), (255, 0), (1000, 1e-6)])
def test_pictures_of_nearly_one_colour_are_filled_with_it(level, spread):
    random = np.random.RandomState(0)
    blob = np.float32(level + spread * random.randn(3, 40, 40))
    removed = random.random_sample((40, 40)) < 0.9
    assert road.imputed(blob, removed, rng=random) == pytest.approx(blob, abs=1e-3)


def test_an_image_of_which_nothing_is_left_cannot_be_filled():
    with pytest.raises(InputError, match="every pixel is removed"):
        road.imputed(BLOB, np.ones((2, 2), bool))


def test_road_removes_the_hottest_and_the_coldest_pixels():
    # A bright square: the value is how bright the picture is.
    blob = np.zeros((1, 20, 20), np.float32)
    blob[0, 5:10, 5:10] = 1
    values = means(road.road(blob, blob[0], fractions=[0.1, 0.5]))
    assert values[:2] == pytest.approx([0, 0], abs=0.005)
    assert min(values[2:]) > 0.05
    inverted = means(road.road(blob, 1 - blob[0], fractions=[0.1, 0.5]))
    assert road.gap(inverted) == pytest.approx(-road.gap(values), abs=0.01)


def test_the_gap_is_what_the_coldest_leave_over_less_what_the_hottest_do():
    assert road.gap([0.1, 0, 0.8, 0.4]) == pytest.approx(0.55)


def test_road_is_the_same_for_the_same_seed():
    blob = np.random.RandomState(0).randn(1, 12, 12).astype(np.float32)
    once, again = (list(road.road(blob, blob[0], seed=3)) for _ in range(2))
    assert len(once) == 10 and np.array_equal(once, again)
    assert not np.array_equal(once, list(road.road(blob, blob[0], seed=4)))
