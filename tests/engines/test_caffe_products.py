"""Products that the caffe engine computes beside Caffe's."""

import numpy as np
import pytest

from caffe_gradcam.engines.caffe.products import times


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 1])
@pytest.mark.parametrize("count", [1, 3])
def test_few_rows_times_a_matrix(count, share):
    rng = np.random.RandomState(5)
    rows = rng.randn(count, 300).astype(np.float32) * (rng.rand(count, 300) < share)
    matrix = rng.randn(300, 70).astype(np.float32)
    product = times(rows, matrix)
    assert product.dtype == np.float32
    np.testing.assert_allclose(product, np.dot(rows.astype(np.float64), matrix), atol=2e-5)
