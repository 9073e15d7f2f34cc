"""From activations and gradients to maps."""

import numpy as np
import pytest

from caffe_gradcam.explaining.methods import METHODS, heatmap
from caffe_gradcam.explaining.methods.gradients import grad_cam
from prototxt_tools.errors import InputError

ACTIVATIONS = np.float32([[[[1, 2], [3, 4]], [[10, 0], [0, 10]]]])
GRADIENTS = np.float32([[[[1, 1], [1, 5]], [[-1, 0], [0, 0]]]])


def test_grad_cam_weighs_channels_by_their_mean_gradient():
    # Weights 2 and -0.25.
    assert grad_cam(ACTIVATIONS, GRADIENTS).tolist() == [[[-0.5, 4], [6, 5.5]]]


def test_a_batch_gives_what_single_images_give():
    random = np.random.RandomState(0)
    activations, gradients = random.randn(2, 5, 7, 3, 4).astype(np.float32)
    together = grad_cam(activations, gradients)
    for index in range(5):
        alone = grad_cam(activations[index:index + 1], gradients[index:index + 1])
        assert np.allclose(together[index], alone[0], rtol=1e-6, atol=1e-6)


def test_on_a_pooled_linear_head_grad_cam_is_cam():
    # y = sum_k w_k mean(A_k), so dy/dA_k = w_k / (h w) everywhere, and CAM is sum_k w_k A_k.
    random = np.random.RandomState(1)
    activations = random.rand(1, 6, 5, 4).astype(np.float32)
    weights = random.randn(6).astype(np.float32)
    gradients = np.ones((1, 6, 5, 4), np.float32) * weights[:, None, None] / 20
    cam = np.tensordot(weights, activations[0], 1) / 20
    assert np.abs(grad_cam(activations, gradients)[0] - cam).max() < 1e-7


def test_a_mean_gradient_survives_cancellation():
    gradients = np.zeros((1, 1, 1, 3), np.float32)
    gradients[0, 0, 0] = [1e8, 1, -1e8]
    assert grad_cam(np.ones((1, 1, 1, 3), np.float32), gradients)[0, 0, 0] == np.float32(1 / 3.0)


def test_methods_are_found_by_their_names():
    assert METHODS["grad-cam"].function is grad_cam


def test_a_heatmap_is_the_positive_part_over_its_maximum():
    assert heatmap(np.float32([[-4, 0], [1, 2]])).tolist() == [[0, 0], [0.5, 1]]


@pytest.mark.parametrize("cam", [np.zeros((2, 2)), -np.ones((2, 2))])
def test_where_nothing_is_positive_the_heatmap_is_all_zeros(cam):
    assert np.array_equal(heatmap(cam), np.zeros((2, 2)))


def test_the_scale_of_the_map_does_not_matter():
    cam = np.float32([[1, 2], [3, 4]])
    for scale in (1e-37, 1e37):
        assert heatmap(cam * np.float32(scale)) == pytest.approx(cam / 4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_reported_and_never_painted(value):
    with pytest.raises(InputError, match="NaN or infinity"):
        heatmap(np.float32([[0, value]]))
