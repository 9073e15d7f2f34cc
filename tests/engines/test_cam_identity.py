"""On a net that ends in average pooling and one InnerProduct, Grad-CAM is CAM."""

import numpy as np
import pytest
from definitions import pooled_linear, random_input
from opened import open_net

from prototxt_tools import weights


def pooled_gradient(kind, path, gradient):
    """Mean gradient over the map times its area, for classes 0, 1, 2 of three images."""
    data = random_input((3, 2, 9, 9)) / 60
    with open_net(kind, pooled_linear(), path, ["score"], ["conv"], gradient) as engine:
        engine.forward({"data": data}, [])
        return engine.backward("score", np.eye(3, 4), ["conv"])["conv"].mean((2, 3)) * 81


def test_the_consistent_gradient_gives_the_weights_of_the_class(kind, write_weights):
    path = write_weights(pooled_linear())
    expected = weights.load(path)["score"][0][:3]
    np.testing.assert_allclose(pooled_gradient(kind, path, "post"), expected, rtol=0, atol=1e-6)


def test_a_backward_through_the_in_place_relu_does_not(kind, write_weights):
    path = write_weights(pooled_linear())
    expected = weights.load(path)["score"][0][:3]
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(pooled_gradient(kind, path, "pre-relu"), expected, rtol=0.1)
