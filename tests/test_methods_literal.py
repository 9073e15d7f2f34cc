"""Each method on numbers small enough to work out by hand."""

import numpy as np
import pytest

from caffe_gradcam.explaining.methods import METHODS

# One image, two channels of 2 x 2.
ACTIVATIONS = np.float32([[[[1, 2], [3, 4]], [[10, 0], [0, 10]]]])
GRADIENTS = np.float32([[[[1, 1], [1, 5]], [[-1, 0], [0, 0]]]])
# Before a ReLU: of each sign, with gradients of each sign.
RAW = np.float32([[[[1, 2], [-3, -4]]]])
RAW_GRADIENTS = np.float32([[[[5, -6], [7, -8]]]])
# Two channels, alike up to scale, that are on at one place each.
PEAKS = np.float32([[[[0, 2], [0, 0]], [[0, 0], [0, 5]]]])
PLAIN = np.ones((1, 1, 2, 2), np.float32)


def call(name, *arguments, **options):
    return METHODS[name].function(*arguments, **options)


def runs(value_of):
    """A net or head, made of a function of one value."""
    return lambda pairs: np.array([value_of(value) for _, value in pairs], np.float64)


def at(row, column, factor=1.0):
    """A net that answers with one pixel."""
    return runs(lambda value: factor * value[0, row, column])


def close(found, expected):
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_grad_cam_has_the_channels_by_their_mean_gradients():
    # Weights 8/4 and -1/4.
    close(call("grad-cam", ACTIVATIONS, GRADIENTS), [[[-0.5, 4], [6, 5.5]]])


def test_grad_cam_plus_plus_has_its_closed_form():
    # Sums 10 and 20: weights 3 * 1/(2 + 10) + 5/(2 + 50) = 9/26, and 0, since -1 is cut off.
    close(call("grad-cam++", ACTIVATIONS, GRADIENTS), ACTIVATIONS[:, 0] * 9 / 26.0)


def test_grad_cam_plus_plus_is_equation_19():
    """w = sum alpha relu(g), alpha = g^2 / (2 g^2 + sum_ab A_ab g^3), cell by cell."""
    random = np.random.RandomState(0)
    activations = random.rand(1, 3, 2, 3).astype(np.float32)
    gradients = random.randn(1, 3, 2, 3).astype(np.float32)
    expected = np.zeros((2, 3))
    for a, g in zip(activations[0].astype(float), gradients[0].astype(float)):
        alpha = g ** 2 / (2 * g ** 2 + a.sum() * g ** 3)
        expected += (alpha * np.maximum(g, 0)).sum() * a
    close(call("grad-cam++", activations, gradients), expected[np.newaxis])


def test_smooth_grad_cam_plus_plus_averages_the_powers_of_the_derivatives():
    # Derivatives 1 and 3 everywhere: means of powers 2, 5, 14; S = 10, so that the weight is
    # 4 cells * 5 / (2 * 5 + 10 * 14) * 2.
    derivatives = iter([1.0, 3.0])
    found = call("smooth-grad-cam++", ACTIVATIONS[:, :1], PLAIN,
                 lambda inputs: np.full((1, 1, 2, 2), next(derivatives), np.float32), samples=2)
    close(found, ACTIVATIONS[:, 0] * 4 / 15.0)


def test_xgrad_cam_has_the_channels_by_their_gradients_weighted_by_activation():
    # Weights (1 + 2 + 3 + 20) / 10 = 2.6 and -10 / 20 = -0.5.
    close(call("xgrad-cam", ACTIVATIONS, GRADIENTS), [[[-2.4, 5.2], [7.8, 5.4]]])


def test_hirescam_is_the_sum_of_products():
    close(call("hirescam", ACTIVATIONS, GRADIENTS), [[[-9, 2], [3, 20]]])
    close(call("hirescam", RAW, RAW_GRADIENTS), [[[5, -12], [-21, 32]]])


def test_element_wise_is_the_sum_of_positive_products():
    close(call("element-wise", ACTIVATIONS, GRADIENTS), [[[1, 2], [3, 20]]])
    close(call("element-wise", RAW, RAW_GRADIENTS), [[[5, 0], [0, 32]]])


def test_layer_cam_has_the_positive_gradients_alone():
    close(call("layer-cam", ACTIVATIONS, GRADIENTS), [[[1, 2], [3, 20]]])
    close(call("layer-cam", RAW, RAW_GRADIENTS), [[[5, 0], [-21, 0]]])


def test_eigen_cam_projects_on_the_first_component():
    # Cells (0, 0) and (3, 4) in turn: 2.5 from their middle on either side.
    cells = np.float32([[[[0, 3], [0, 3]], [[0, 4], [0, 4]]]])
    close(call("eigen-cam", cells), [[[-2.5, 2.5], [-2.5, 2.5]]])


def test_eigen_cam_is_the_same_with_more_channels_than_cells():
    # The same two cells, seen by the channels 3, 4, 0, 0, 0, 0.
    cells = np.zeros((1, 6, 2, 2), np.float32)
    cells[0, 0, :, 1], cells[0, 1, :, 1] = 3, 4
    close(call("eigen-cam", cells), [[[-2.5, 2.5], [-2.5, 2.5]]])


def test_eigen_grad_cam_projects_the_products():
    cells = np.float32([[[[5, 1], [5, 1]], [[7, 2], [7, 2]]]])
    gradients = np.float32([[[[0, 3], [0, 3]], [[0, 2], [0, 2]]]])
    close(call("eigen-grad-cam", cells, gradients), [[[-2.5, 2.5], [-2.5, 2.5]]])


def test_score_cam_has_the_channels_by_the_softmax_of_their_scores():
    # Through the first channel the picture scores ln 3, through the second 0: 3/4 and 1/4.
    close(call("score-cam", PEAKS, PLAIN, at(0, 1, np.log(3))), [[[0, 1.5], [0, 1.25]]])


def test_ss_cam_has_the_channels_by_the_softmax_of_their_mean_scores():
    # Means ln 3 and 0.
    scores = iter([np.log(3) + 1, np.log(3) - 1, 2, -2])
    found = call("ss-cam", PEAKS, PLAIN, runs(lambda value: next(scores)), samples=2)
    close(found, [[[0, 1.5], [0, 1.25]]])


def test_ss_cam_shows_noisy_masks_from_0_to_1():
    shown = []
    call("ss-cam", PEAKS, PLAIN, runs(lambda value: shown.append(value) or 0.0), samples=3)
    assert len(shown) == 6
    assert all((one.min(), one.max()) == (0, 1) for one in shown)
    assert not np.array_equal(shown[0], shown[1])
    assert [one[0, 0, 1] for one in shown[:3]] == [1, 1, 1]  # The peak outdoes the noise.


def test_ablation_cam_has_the_channels_by_what_is_lost_without_them():
    # The score is twice the first sum plus the square of the second; 3 and 5 * 5 are lost.
    def head(pairs):
        return np.array([1.5 * value[0].sum() + value[1].sum() ** 2 for _, value in pairs])

    close(call("ablation-cam", PEAKS, head([(0, PEAKS[0])]), head), [[[0, 6], [0, 125]]])


def test_cam_is_the_map_of_the_class():
    maps = np.float32([[[[1, 2]], [[3, 4]], [[5, 6]]]])
    close(call("cam", maps, np.float32([[0, 1, 0]])), [[[3, 4]]])
    close(call("cam", maps, np.float32([[0, 1, -1]])), [[[-2, -2]]])


def test_random_numbers_depend_on_the_picture_alone():
    first, second = call("random", np.repeat(ACTIVATIONS, 2, axis=0),
                         np.concatenate([PLAIN, PLAIN + 1]))
    # Of RandomState with the CRC-32 of the picture's bytes.
    close(first, [[0.3810189, 0.7418306], [0.3652134, 0.7951099]])
    assert np.array_equal(call("random", ACTIVATIONS + 1, PLAIN + 1)[0], second)
    assert not np.array_equal(first, second)


COLOURS = np.float32([[[[1, -5]], [[-3, 0]], [[2, 4]]]])


@pytest.mark.parametrize("name", ["saliency", "guided-backprop", "deconvnet"])
def test_sizes_of_gradients_are_the_largest_over_the_colours(name):
    close(call(name, COLOURS), [[[3, 5]]])


def test_guided_grad_cam_is_cut_off_where_grad_cam_is_negative():
    close(call("guided-grad-cam", COLOURS, np.float32([[[2, -1]]])), [[[6, 0]]])


def test_smoothgrad_is_the_saliency_of_the_mean():
    gradients = iter([COLOURS, -3 * COLOURS])
    found = call("smoothgrad", PLAIN, lambda inputs: next(gradients), samples=2)
    close(found, [[[3, 5]]])


def test_integrated_gradients_of_a_square_are_the_square():
    # y = sum x^2 has the derivative 2 x, linear in it, which the midpoint rule integrates exactly.
    inputs = np.float32([[[[1, -2]], [[3, 0.5]]]])
    found = call("integrated-gradients", inputs, lambda one: 2 * one, samples=3)
    close(found, [[[10, 4.25]]])


def test_fullgrad_adds_the_parts_of_input_and_biases_each_from_0_to_1():
    inputs, gradients = np.float32([[[[1, 2], [4, 5]]]]), np.float32([[[[1, 1], [-1, 1]]]])
    bias = np.float32([[[[3, 0], [0, 0]], [[-6, 0], [0, 3]]]])
    # |x g| = 1, 2, 4, 5, brought to 0, 1/4, 3/4, 1; the biases' 3 + 6, 0, 0, 3 over 6.
    found = call("fullgrad", inputs, gradients, [bias])
    close(found, [[[1.5, 0.25], [0.75, 1.5]]])


def test_fullgrad_brings_a_layer_to_the_size_of_the_input():
    inputs = np.zeros((1, 1, 2, 4), np.float32)
    found = call("fullgrad", inputs, inputs, [np.float32([[[[0, 2]]]])])
    close(found, [[[0, 0.25, 0.75, 1]] * 2])


def test_occlusion_is_what_is_lost_under_the_square():
    # Squares of one pixel: each one's own part in the score.
    inputs = np.float32([[[[1, 2], [3, 4]]]])
    net = runs(lambda value: value[0, 0, 0] * 10 + value[0, 1, 1] * 100)
    close(call("occlusion", inputs, net([(0, inputs[0])]), net), [[[10, 0], [0, 400]]])


def test_occlusion_is_the_mean_over_the_squares_that_cover_a_pixel():
    # Squares of 2 pixels, one apart, on a row of 4; the score is the second pixel, 6. It is lost
    # under the squares at 0 and 1, not under the one at 2.
    inputs = np.float32([[[[5, 6, 7, 8]]]])
    net = at(0, 1)
    found = call("occlusion", inputs, net([(0, inputs[0])]), net, parts=2)
    close(found, [[[6, 6, 3, 0]]])


def test_odam_smooths_gradients_over_neighbouring_cells():
    slopes = np.zeros((1, 1, 5, 5), np.float32)
    slopes[0, 0, 2, 2] = 1
    found = call("odam", np.full((1, 1, 5, 5), 2, np.float32), slopes)
    # A Gaussian with a deviation of half a cell: exp(-2) beside its middle, before it is scaled.
    side = np.exp(-2) / (1 + 2 * np.exp(-2))
    row = np.array([0, side, 1 - 2 * side, side, 0])
    close(found, [2 * np.outer(row, row)])


def test_rise_is_the_mean_mask_weighted_by_the_scores_above_the_mean():
    inputs = np.ones((1, 2, 14, 14), np.float32)
    masks, scores = [], iter([1.0, 2.0, 6.0])
    net = runs(lambda value: masks.append(value[0]) or next(scores))
    found = call("rise", inputs, net, samples=3)
    expected = (-2 * masks[0] - masks[1] + 3 * masks[2]) / (0.5 * 3)
    np.testing.assert_allclose(found[0], expected, atol=1e-5)
    assert all(0 <= mask.min() and mask.max() <= 1 for mask in masks)


def test_rise_sees_half_of_the_picture_on_average():
    shown = []
    call("rise", np.ones((1, 1, 21, 14), np.float32),
         runs(lambda value: shown.append(value.mean()) or 0.0), samples=400)
    assert np.mean(shown) == pytest.approx(0.5, abs=0.02)


def test_all_methods_are_held_to_literals_here():
    text = open(__file__, encoding="utf-8").read()
    of_colours = ["saliency", "guided-backprop", "deconvnet"]
    assert len(METHODS) == 24
    assert [name for name in METHODS
            if f'call("{name}"' not in text and name not in of_colours] == []
