"""Pointing, sanity, stability, baselines and bootstrap: by hand, and against other libraries."""

import numpy as np
import pytest

from caffe_gradcam.measuring.metrics import (
    baselines,
    bootstrap,
    pointing,
    sanity,
    similarity,
    stability,
)


def peak(row, column, shape=(10, 12)):
    """A map with one hot pixel."""
    heat = np.zeros(shape, np.float32)
    heat[row, column] = 1
    return heat


@pytest.mark.parametrize("place, inside", [
    ((3, 2), True), ((7, 4), True), ((2, 2), False), ((8, 2), False), ((3, 1), False),
    ((3, 5), False),
])
def test_a_hit_is_a_peak_in_the_box(place, inside):
    assert pointing.hits(peak(*place), [(2, 3, 3, 5)]) is inside


def test_one_of_several_boxes_is_enough():
    assert pointing.hits(peak(9, 11), [(0, 0, 2, 2), (11, 9, 1, 1)])


def test_a_near_miss_is_a_hit_within_the_tolerance():
    # Three pixels left of the box's pixels and four above.
    assert not pointing.hits(peak(1, 2), [(5, 5, 3, 3)], tolerance=4.9)
    assert pointing.hits(peak(1, 2), [(5, 5, 3, 3)], tolerance=5)


def test_an_empty_map_points_nowhere():
    assert not pointing.hits(np.zeros((10, 12), np.float32), [(0, 0, 12, 10)])
    assert pointing.energy_inside(np.zeros((10, 12), np.float32), [(0, 0, 12, 10)]) == 0


def test_energy_is_the_part_of_the_heat_in_the_boxes():
    heat = np.float32([[1, 2, 3], [4, 0, 10]])
    assert pointing.energy_inside(heat, [(0, 0, 2, 2)]) == 7 / 20.0
    assert pointing.energy_inside(heat, [(0, 0, 2, 1), (1, 0, 2, 1)]) == 6 / 20.0
    assert pointing.energy_inside(heat, [(2, 1, 50, 50)]) == 0.5
    assert pointing.energy_inside(heat, [(-5, -5, 6, 6)]) == 1 / 20.0


def test_rank_correlation_looks_at_the_order_alone():
    heat = np.float32([[1, 2], [3, 4]])
    assert similarity.rank_correlation(heat, np.exp(heat)) == pytest.approx(1)
    assert similarity.rank_correlation(heat, -heat) == pytest.approx(-1)
    # Ranks 1 2 3 4 and 1.5 1.5 3 4: 4.5 / sqrt(5 * 4.5).
    tied = np.float32([[0, 0], [3, 4]])
    assert similarity.rank_correlation(heat, tied) == pytest.approx(4.5 / np.sqrt(22.5))


def test_a_flat_map_is_correlated_with_nothing():
    assert similarity.rank_correlation(np.ones((3, 3)), np.eye(3)) == 0


def test_rank_correlation_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed here")
    random = np.random.RandomState(0)
    first, second = random.randint(0, 5, (2, 30, 40))
    expected = stats.spearmanr(first.ravel(), second.ravel())[0]
    assert similarity.rank_correlation(first, second) == pytest.approx(expected, abs=1e-12)


def test_ssim_of_flat_maps_is_what_the_formula_says():
    bright, dark = np.full((20, 20), 0.8), np.full((20, 20), 0.4)
    expected = (2 * 0.32 + 1e-4) / (0.64 + 0.16 + 1e-4)
    assert similarity.ssim(bright, dark) == pytest.approx(expected)
    assert similarity.ssim(bright[:5, :5], dark[:5, :5]) == pytest.approx(expected)
    assert similarity.ssim(bright, bright) == pytest.approx(1)


def test_ssim_agrees_with_scikit_image():
    metrics = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed here")
    first, second = np.random.RandomState(0).random_sample((2, 40, 30))
    second = 0.6 * first + 0.4 * second
    expected = metrics.structural_similarity(
        first, second, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert similarity.ssim(first, second) == pytest.approx(expected, abs=1e-9)


class Net:
    """Holds weights, and remembers what they were."""

    def __init__(self, weights):
        self.weights = dict(weights)

    def replace_weights(self, weights):
        self.weights.update(weights)


WEIGHTS = {name: [np.arange(50.0).reshape(5, 10) + 100 * index, np.arange(5.0)]
           for index, name in enumerate(["conv1", "conv2", "fc"])}


def same(net, layer):
    return all(np.array_equal(*pair) for pair in zip(net.weights[layer], WEIGHTS[layer]))


def test_weights_are_randomised_from_the_top_down_and_stay_so():
    net = Net(WEIGHTS)
    seen = sanity.cascade(net, WEIGHTS, [["fc"], ["conv2"], ["conv1"]],
                          lambda: [same(net, name) for name in ("conv1", "conv2", "fc")])
    assert seen == [[True, True, False], [True, False, False], [False, False, False]]


def test_the_weights_are_back_after_a_cascade():
    net = Net(WEIGHTS)
    sanity.cascade(net, WEIGHTS, [["fc", "conv2"], ["conv1"]], lambda: None)
    assert all(same(net, name) for name in WEIGHTS)


def test_the_weights_are_back_after_an_error():
    net = Net(WEIGHTS)

    def stumble():
        assert not same(net, "fc")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sanity.cascade(net, WEIGHTS, [["fc"], ["conv2"]], stumble)
    assert all(same(net, name) for name in WEIGHTS)


def test_random_weights_are_the_layers_own_numbers_shuffled():
    new = sanity.shuffled(WEIGHTS["conv2"], np.random.RandomState(0))
    assert [array.shape for array in new] == [(5, 10), (5,)]
    assert np.array_equal(np.sort(new[0], axis=None), np.sort(WEIGHTS["conv2"][0], axis=None))
    assert (new[0] == WEIGHTS["conv2"][0]).mean() < 0.2


def test_the_same_seed_gives_the_same_random_weights():
    def run(seed):
        net = Net(WEIGHTS)
        return sanity.cascade(net, WEIGHTS, [["fc"]], lambda: net.weights["fc"][0].tolist(), seed)

    assert run(1) == run(1) != run(2)


def test_stages_go_from_the_top_down():
    assert sanity.stages(["a", "b", "c"], 8) == [["c"], ["b"], ["a"]]
    assert sanity.stages(["a", "b", "c", "d", "e"], 2) == [["e", "d", "c"], ["b", "a"]]
    assert sanity.stages([], 8) == []


def test_sensitivity_is_the_way_a_map_goes_over_its_length():
    heat = np.float32([[0, 2], [0, 0]])
    heats = np.repeat(heat[None], 4, axis=0)
    heats[0, 1, 1] = 1
    heats[1, 1] = [0.6, 0.8]
    heats[2, 0, 1] = 6
    sensitivity = stability.sensitivity(heat, heats)
    assert sensitivity.largest == 2
    assert sensitivity.mean == pytest.approx((0.5 + 0.5 + 2 + 0) / 4)


def test_a_map_of_zeros_has_no_sensitivity():
    found = stability.sensitivity(np.zeros((1, 2)), np.ones((3, 1, 2)))
    assert np.isnan(found.largest) and np.isnan(found.mean)


def test_noise_stays_within_a_part_of_the_pictures_range():
    blob = np.float32(np.linspace(-50, 150, 300).reshape(3, 10, 10))
    copies = stability.noisy(blob, radius=0.02, samples=5, seed=1)
    noise = copies - blob
    assert copies.shape == (5, 3, 10, 10) and copies.dtype == np.float32
    assert 3.9 < np.abs(noise).max() <= 4.0001
    assert abs(noise.mean()) < 0.2 and len(np.unique(noise)) > 1000
    assert np.array_equal(copies, stability.noisy(blob, radius=0.02, samples=5, seed=1))


def test_a_random_map_is_as_coarse_as_the_target():
    heat = baselines.random_map((96, 96), (4, 4), np.random.RandomState(0))
    assert heat.shape == (96, 96) and heat.dtype == np.float32
    assert 0 <= heat.min() < 0.2 and 0.8 < heat.max() <= 1
    assert np.abs(np.diff(heat, axis=0)).max() < 1 / 20.0  # from cell to cell are 24 pixels


def test_peaks_of_random_maps_are_all_over_the_picture():
    rng = np.random.RandomState(0)
    box = [(10, 60, 48, 24)]  # an eighth
    maps = (baselines.random_map((96, 96), (24, 24), rng) for _ in range(800))
    assert np.mean([pointing.hits(heat, box) for heat in maps]) == pytest.approx(0.125, abs=0.035)


def test_the_centre_map_peaks_in_the_middle():
    heat = baselines.centre_map((40, 80))
    assert heat.shape == (40, 80)
    # The centre lies between pixels; a deviation is 10 rows and 20 columns.
    assert heat[20, 40] == heat.max() == pytest.approx(1, abs=0.01)
    assert heat[30, 40] == pytest.approx(np.exp(-0.5 * 1.05 ** 2), abs=0.01)
    assert heat[20, 60] == pytest.approx(np.exp(-0.5 * 1.025 ** 2), abs=0.01)
    assert np.allclose(heat, heat[::-1, ::-1])


def test_the_interval_of_a_mean_is_two_standard_errors_wide():
    values = np.random.RandomState(0).randn(400)
    found = bootstrap.interval(values)
    error = values.std() / 20
    assert found.count == 400 and found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.2 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.2 * error)


def test_the_interval_holds_the_truth_nineteen_times_of_twenty():
    random = np.random.RandomState(0)
    intervals = [bootstrap.interval(random.exponential(1, 60)) for _ in range(400)]
    assert 0.9 < np.mean([one.low <= 1 <= one.high for one in intervals]) < 0.98


def test_two_questions_about_one_image_are_no_two_witnesses():
    values = np.random.RandomState(0).randn(50)
    alone = bootstrap.interval(values)
    doubled = bootstrap.interval(np.repeat(values, 4), np.repeat(np.arange(50), 4))
    assert (doubled.low, doubled.high) == pytest.approx((alone.low, alone.high))
    assert doubled.count == 200


def test_values_that_are_missing_do_not_count():
    found = bootstrap.interval([1, np.nan, 3], ["a", "b", "c"])
    assert (found.mean, found.count) == (2, 2)
    nothing = bootstrap.interval([np.nan])
    assert nothing.count == 0 and np.isnan(nothing.mean)


def test_one_image_has_no_interval():
    found = bootstrap.interval([1, 2], ["a", "a"])
    assert found.mean == 1.5 and np.isnan(found.low) and np.isnan(found.high)


def test_the_same_seed_gives_the_same_interval():
    values = np.random.RandomState(0).rand(30)
    assert bootstrap.interval(values, seed=1) == bootstrap.interval(values, seed=1)
    assert bootstrap.interval(values, seed=1) != bootstrap.interval(values, seed=2)
