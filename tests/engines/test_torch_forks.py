"""Layers of forks, which no Caffe here has, against their definitions."""

import re

import numpy as np
import pytest
from opened import open_net

torch = pytest.importorskip("torch")

from caffe_gradcam.engines.torch import LAYERS, families, layer  # noqa: E402, F401
from prototxt_tools.errors import EngineError  # noqa: E402
from prototxt_tools.net.net import Net  # noqa: E402

RANDOM = np.random.RandomState(3)


def random(*shape):
    return RANDOM.randn(*shape).astype(np.float32)


def run(kind, parameters, bottoms, weights=(), tops=1):
    """The top of a layer, and the gradient of sum(top * seed) at its first bottom."""
    blobs = ['bottom: "b%d"' % index for index in range(len(bottoms))] + ['top: "t"'] * tops
    text = 'layer {{ name: "it" type: "{}" {} {} }}'.format(kind, " ".join(blobs), parameters)
    message = Net.parse(text).layers[0].message
    leaves = [torch.from_numpy(bottom.copy()).requires_grad_() for bottom in bottoms]
    tensors = [torch.from_numpy(weight) for weight in weights]
    top = LAYERS[kind](message, leaves, tensors)[0]
    seed = random(*top.shape)
    gradient, = torch.autograd.grad(top, leaves[:1], torch.from_numpy(seed))
    return top.detach().numpy(), gradient.numpy(), seed


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_relu6_clips_at_six():
    x = 5 * random(2, 3, 4)
    top, gradient, seed = run("ReLU6", "", [x])
    close(top, np.clip(x, 0, 6))
    close(gradient, seed * ((x > 0) & (x < 6)))


@pytest.mark.parametrize("kind", ["DepthwiseConvolution", "ConvolutionDepthwise"])
def test_depthwise_convolution_filters_each_channel_alone(kind):
    x, kernels, bias = random(2, 3, 5, 6), random(3, 1, 3, 3), random(3)
    top, _, _ = run(kind, "convolution_param { num_output: 3 kernel_size: 3 }", [x],
                    [kernels, bias])
    expected = np.zeros((2, 3, 3, 4)) + bias[:, None, None]
    for i, j in np.ndindex(3, 3):
        expected += x[:, :, i:i + 3, j:j + 4] * kernels[:, 0, i, j][:, None, None]
    close(top, expected)


def test_axpy_scales_the_second_bottom_and_adds_the_third():
    a, x, y = random(2, 3, 1, 1), random(2, 3, 4, 5), random(2, 3, 4, 5)
    top, gradient, seed = run("Axpy", "", [a, x, y])
    close(top, a * x + y)
    close(gradient, (seed * x).sum((2, 3), keepdims=True))


def test_permute_moves_the_named_axes_to_the_front():
    x = random(2, 3, 4, 5)
    top, gradient, seed = run(
        "Permute", "permute_param { order: 0 order: 2 order: 3 order: 1 }", [x])
    close(top, x.transpose(0, 2, 3, 1))
    close(gradient, seed.transpose(0, 3, 1, 2))
    assert run("Permute", "permute_param { order: 2 }", [x])[0].shape == (4, 2, 3, 5)


def test_shuffle_channel_takes_one_channel_of_each_group_in_turn():
    x = random(2, 6, 3, 3)
    top, _, _ = run("ShuffleChannel", "shuffle_channel_param { group: 2 }", [x])
    close(top, x[:, [0, 3, 1, 4, 2, 5]])


@pytest.mark.parametrize("across, shared", [(True, True), (False, False), (False, True)])
def test_normalize_divides_by_the_norm(across, shared):
    x, scale = random(2, 3, 4, 5), random(1 if shared else 3)
    parameters = (f"norm_param {{ across_spatial: {str(across).lower()} "
                  f"channel_shared: {str(shared).lower()} }}")
    top, gradient, seed = run("Normalize", parameters, [x], [scale])
    axes = (1, 2, 3) if across else 1
    norm = np.sqrt((x * x).sum(axes, keepdims=True) + 1e-10)
    factor = scale.reshape(1, -1, 1, 1)
    close(top, x / norm * factor)
    inner = (x * seed * factor).sum(axes, keepdims=True)
    close(gradient, seed * factor / norm - x * inner / norm ** 3)


def test_bn_with_four_blobs_uses_its_statistics():
    x, slope, bias, mean = random(2, 3, 4, 4), random(3), random(3), random(3)
    variance = abs(random(3)) + 0.1
    top, gradient, seed = run("BN", "bn_param { frozen: true }", [x],
                              [w.reshape(1, 3, 1, 1) for w in (slope, bias, mean, variance)])
    factor = (slope / np.sqrt(variance + 1e-5))[:, None, None]
    close(top, (x - mean[:, None, None]) * factor + bias[:, None, None])
    close(gradient, seed * factor)


def test_bn_with_two_blobs_scales_and_shifts():
    x, slope, shift = random(2, 3, 4, 4), random(1, 3, 1, 1), random(1, 3, 1, 1)
    top, gradient, seed = run("BN", "bn_param { bn_mode: INFERENCE }", [x], [slope, shift])
    close(top, x * slope + shift)
    close(gradient, seed * slope)


@pytest.mark.parametrize("parameters, size", [
    ("height: 9 width: 5", (9, 5)), ("zoom_factor: 2", (7, 9)), ("shrink_factor: 2", (2, 3)),
    ("zoom_factor: 3 pad_end: -1", (7, 10)),
])
def test_interp_is_bilinear_between_fixed_corners(parameters, size):
    x = random(2, 3, 4, 5)
    top, gradient, seed = run("Interp", f"interp_param {{ {parameters} }}", [x])
    source = x[:, :, :-1, :-1] if "pad_end" in parameters else x

    def weights(count, length):
        places = np.arange(count) * (length - 1) / (count - 1)
        return np.maximum(0, 1 - abs(places[:, None] - np.arange(length)))

    rows, columns = weights(size[0], source.shape[2]), weights(size[1], source.shape[3])
    close(top, np.einsum("ih,nchw,jw->ncij", rows, source, columns))
    expected = np.zeros_like(x)
    expected[:, :, :source.shape[2], :source.shape[3]] = np.einsum(
        "ih,ncij,jw->nchw", rows, seed, columns)
    close(gradient, expected)


def test_interp_to_the_size_of_a_second_blob():
    top, _, _ = run("Interp", "", [random(1, 2, 4, 4), random(1, 1, 7, 3)])
    assert top.shape == (1, 2, 7, 3)


def test_upsample_puts_values_back_where_max_pooling_took_them():
    x = torch.from_numpy(random(2, 3, 6, 8))
    pooled, index = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    top, gradient, seed = run("Upsample", "upsample_param { scale: 2 }",
                              [pooled.numpy(), index.numpy().astype(np.float32)])
    kept = (x == torch.nn.functional.interpolate(pooled, scale_factor=2)).numpy()
    close(top, x.numpy() * kept)
    close(gradient.sum(), (seed * kept).sum())


@pytest.mark.parametrize("index", [16, 99, -1])
def test_upsample_refuses_a_mask_from_another_blob(index):
    mask = np.full((1, 1, 2, 2), index, np.float32)
    with pytest.raises(EngineError, match="mask points outside 4 x 4"):
        run("Upsample", "upsample_param { scale: 2 }", [random(1, 1, 2, 2), mask])


def test_upsample_of_one_blob_repeats_its_values():
    x = random(1, 2, 3, 4)
    top, _, _ = run("Upsample", "upsample_param { scale: 2 }", [x])
    close(top, x.repeat(2, 2).repeat(2, 3))


def test_roi_pooling_takes_the_largest_of_each_cell():
    x = random(2, 3, 10, 12)
    regions = np.float32([[1, 0, 0, 11, 9], [0, 4, 6, 9, 15], [0, 5, 5, 5, 5]])
    top, _, _ = run("ROIPooling", "roi_pooling_param { pooled_h: 2 pooled_w: 3 }", [x, regions])
    cells = [(rows, columns) for rows in (slice(0, 5), slice(5, 10))
             for columns in (slice(0, 4), slice(4, 8), slice(8, 12))]
    expected = [x[1][:, rows, columns].max((1, 2)) for rows, columns in cells]
    close(top[0].reshape(3, 6), np.stack(expected, 1))
    # The second region is 10 rows high of which 4 lie in the image: its lower cells are empty.
    expected = [x[0][:, 6:10, columns].max((1, 2))
                for columns in (slice(4, 6), slice(6, 8), slice(8, 10))]
    close(top[1, :, 0], np.stack(expected, 1))
    assert not top[1, :, 1].any()
    close(top[2], np.tile(x[0, :, 5, 5][:, None, None], (1, 2, 3)))


def test_roi_pooling_scales_and_rounds_the_regions():
    x = random(1, 2, 8, 8)
    region = np.float32([[0, 8, 24, 71, 88]])
    top, _, _ = run(
        "ROIPooling", "roi_pooling_param { pooled_h: 1 pooled_w: 1 spatial_scale: 0.0625 }",
        [x, region])
    # 0.5 rounds to 1, 1.5 to 2, 4.4375 to 4, 5.5 to 6.
    close(top[0, :, 0, 0], x[0, :, 2:7, 1:5].max((1, 2)))


@pytest.mark.parametrize("kind", ["ROIPooling", "PSROIPooling"])
@pytest.mark.parametrize("region, words", [
    ([5, 0, 0, 3, 3], "region 1 in b1 belongs to image 5, and the batch has 2, counted from 0"),
    ([-1, 0, 0, 3, 3], "region 1 in b1 belongs to image -1"),
    ([0.5, 0, 0, 3, 3], "region 1 in b1 belongs to image 0.5"),
    ([0, 0, 0, 1e6, 3], "region 1 in b1 reaches far beyond the image: 0, 0, 1e+06, 3"),
])
def test_regions_of_no_image_or_far_beyond_it_are_named(kind, region, words):
    parameters = {
        "ROIPooling": "roi_pooling_param { pooled_h: 1 pooled_w: 1 }",
        "PSROIPooling": "psroi_pooling_param { output_dim: 2 group_size: 1 spatial_scale: 1 }"}
    regions = np.float32([[0, 1, 1, 3, 3], region])
    with pytest.raises(EngineError, match=re.escape(words)):
        run(kind, parameters[kind], [random(2, 2, 8, 8), regions])


def test_dropout_of_fast_rcnn_scales_at_test_time():
    x = random(2, 5)
    top, _, _ = run("Dropout", "dropout_param { dropout_ratio: 0.25 scale_train: false }", [x])
    close(top, x * 0.75)


def test_pooling_that_rounds_down_as_forks_write_it():
    x = random(1, 2, 6, 6)
    top, _, _ = run("Pooling", "pooling_param { kernel_size: 3 stride: 2 ceil_mode: false }", [x])
    assert top.shape == (1, 2, 2, 2)


def test_a_layer_of_ones_own_is_one_function(write_weights):
    text = """
        input: "data" input_shape { dim: 1 dim: 2 dim: 3 dim: 3 }
        layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
                convolution_param { num_output: 4 kernel_size: 1 } }
        layer { name: "own" type: "MySquare" bottom: "conv" top: "own" }
    """
    path = write_weights(text)

    @layer("MySquare")
    def square(message, bottoms, weights):
        return [bottoms[0] ** 2]

    try:
        with open_net("torch", text, path, ["own"], ["conv"]) as engine:
            values = engine.forward({"data": random(1, 2, 3, 3)}, ["conv", "own"])
            gradient = engine.backward("own", np.ones((1, 4, 3, 3)), ["conv"])["conv"]
    finally:
        del LAYERS["MySquare"]
    close(values["own"], values["conv"] ** 2)
    close(gradient, 2 * values["conv"])
    with pytest.raises(EngineError, match=r'@layer\("MySquare"\)'):
        open_net("torch", text, path, ["own"], ["conv"])


@pytest.mark.parametrize("bias", [0, 0.5])
def test_grn_divides_by_the_norm_over_channels(bias):
    x = random(2, 3, 4, 5)
    top, _, _ = run("GRN", f"grn_param {{ bias: {bias} }}", [x])
    close(top, x / np.sqrt((x.astype(np.float64) ** 2).sum(1, keepdims=True) + bias))


def test_grn_without_its_bias_is_refused():
    with pytest.raises(EngineError, match="write grn_param { bias: 0 }"):
        run("GRN", "", [random(1, 3, 2, 2)])
