"""Gradients of few channels and products in blocks: the same values for less work."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from caffe_gradcam.engines.torch import pooling, products  # noqa: E402


def gradients(ours, plain, x, top_gradient):
    found = []
    for function in (ours, plain):
        leaf = x.clone().requires_grad_()
        function(leaf).backward(top_gradient)
        found.append(leaf.grad.numpy())
    return found


@pytest.mark.parametrize("channels", [(), (4,), (0, 9), range(10)], ids=["0", "1", "2", "all"])
@pytest.mark.parametrize("lead", [(), (3,), (3, 2)], ids=["axis 0", "axis 1", "axis 2"])
def test_inner_products(channels, lead):
    random = torch.Generator().manual_seed(0)
    x = torch.randn(lead + (5,), generator=random)
    matrix, bias = torch.randn((10, 5), generator=random), torch.randn(10, generator=random)
    top = torch.zeros(lead + (10,))
    top[..., list(channels)] = torch.randn(lead + (len(channels),), generator=random)
    found, expected = gradients(lambda leaf: products.linear(leaf, matrix, bias),
                                lambda leaf: F.linear(leaf, matrix, bias), x, top)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 8, 33])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_large_inner_products(rows, bias):
    random = torch.Generator().manual_seed(0)
    x, matrix = torch.randn((rows, 7), generator=random), torch.randn((1024, 7), generator=random)
    bias = torch.randn(1024, generator=random) if bias else None
    ours, plain = products.linear(x, matrix, bias), F.linear(x, matrix, bias)
    np.testing.assert_allclose(ours, plain, rtol=1e-5, atol=1e-5)
    top = torch.randn((rows, 1024), generator=random)
    found, expected = gradients(lambda leaf: products.linear(leaf, matrix, bias),
                                lambda leaf: F.linear(leaf, matrix, bias), x, top)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [(), (4,), (0, 9), range(10)], ids=["0", "1", "2", "all"])
@pytest.mark.parametrize("windows", [
    dict(kernel=1, stride=1, padding=0, dilation=1, groups=1),
    dict(kernel=3, stride=2, padding=1, dilation=2, groups=1),
    dict(kernel=3, stride=1, padding=1, dilation=1, groups=2)], ids=["1x1", "3x3", "groups"])
def test_convolutions(channels, windows):
    random = torch.Generator().manual_seed(0)
    windows = dict(windows)
    kernel, groups = windows.pop("kernel"), windows["groups"]
    x = torch.randn((2, 4, 9, 8), generator=random)
    kernels = torch.randn((10, 4 // groups, kernel, kernel), generator=random)
    bias = torch.randn(10, generator=random)
    top = torch.zeros(F.conv2d(x, kernels, bias, **windows).shape)
    top[:, list(channels)] = torch.randn(top[:, list(channels)].shape, generator=random)
    found, expected = gradients(
        lambda leaf: products.convolve(F.conv2d, leaf, kernels, bias, **windows),
        lambda leaf: F.conv2d(leaf, kernels, bias, **windows), x, top)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_of_one_class_only_its_row_is_multiplied(monkeypatch):
    seen = []
    take = products.GRADIENTS[F.conv2d]
    monkeypatch.setitem(products.GRADIENTS, F.conv2d, lambda shape, kernels, *rest, **windows: (
        seen.append(len(kernels)), take(shape, kernels, *rest, **windows))[1])
    x = torch.ones((1, 2, 3, 3)).requires_grad_()
    top = products.convolve(F.conv2d, x, torch.ones(1000, 2, 1, 1), None, stride=1, padding=0,
                          dilation=1, groups=1)
    top[:, 7].sum().backward(retain_graph=True)
    top.sum().backward()
    assert seen == [1, 1000]


def test_a_gradient_that_is_no_number_is_passed_on():
    x = torch.ones((1, 5)).requires_grad_()
    top = products.linear(x, torch.ones(10, 5), None)
    top.backward(torch.tensor([[float("nan")] + [0.0] * 9]))
    assert torch.isnan(x.grad).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_global_mean_passes_its_gradient_on_in_equal_parts(layout):
    x = torch.rand((2, 3, 4, 5)).contiguous(memory_format=layout).requires_grad_()
    top = pooling.ave_pool(x, ([1, 1], (4, 5), (1, 1), (0, 0)))
    assert torch.allclose(top[..., 0, 0], x.mean((2, 3)))
    top.backward(torch.arange(6.0).reshape(2, 3, 1, 1))
    assert x.grad.is_contiguous(memory_format=layout)
    assert torch.equal(x.grad, (torch.arange(6.0) / 20).reshape(2, 3, 1, 1).expand(2, 3, 4, 5))
