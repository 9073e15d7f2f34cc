"""The layers of C3D and of video-caffe against torch's own, and against finite differences."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from caffe_gradcam.engines.torch import LAYERS, families  # noqa: E402, F401
from prototxt_tools import layers  # noqa: E402
from prototxt_tools.net.net import Net  # noqa: E402

CLIP = (2, 3, 5, 7, 8)
# The same convolution as C3D 1.1, C3D 1.0 and video-caffe write it.
CONVOLUTIONS = {
    "C3D 1.1": ('layer { name: "it" type: "Convolution3D" convolution3d_param { num_output: 4 '
                'kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 1 pad: 1 '
                'temporal_pad: 1 filter_group: 2 } }'),
    "C3D 1.0": ('layers { name: "it" type: CONVOLUTION3D convolution_param { num_output: 4 '
                'kernel_size: 3 kernel_depth: 2 stride: 2 pad: 1 temporal_pad: 1 } }'),
    "video-caffe": ('layer { name: "it" type: "NdConvolution" convolution_param { num_output: 4 '
                    'kernel_shape { dim: 2 dim: 3 dim: 3 } stride_shape { dim: 1 dim: 2 dim: 2 } '
                    'pad_shape { dim: 1 dim: 1 dim: 1 } } }'),
}


def message_of(text):
    return Net.parse(text).layers[0].message


def pooling_layer(parameters, kind="Pooling3D", name="pooling3d_param"):
    return message_of(f'layer {{ name: "it" type: "{kind}" {name} {{ {parameters} }} }}')


def run(message, x, weights=()):
    """The top, whose shape is that of the table."""
    top, = LAYERS[message.type](message, [x], list(weights))
    assert layers.of(message.type).shape(message, [tuple(x.shape)], 1) == [tuple(top.shape)]
    return top


def distinct(*shape):
    """Numbers that differ, so that no maximum is there twice."""
    count = int(np.prod(shape))
    values = np.random.RandomState(0).permutation(count) / count
    return torch.from_numpy(values.reshape(shape)).requires_grad_()


@pytest.mark.parametrize("form", CONVOLUTIONS)
def test_a_convolution_of_clips_is_torchs(form):
    message = message_of(CONVOLUTIONS[form])
    x, kernels, bias = distinct(*CLIP), distinct(4, 3, 2, 3, 3), distinct(4)
    shapes = layers.of(message.type).blobs(message, [CLIP])
    weights = [kernels.detach(), bias.detach().reshape(shapes[1])]
    assert shapes[0] == tuple(kernels.shape)
    top = run(message, x, weights)
    expected = torch.nn.functional.conv3d(x, kernels, bias, (1, 2, 2), (1, 1, 1))
    torch.testing.assert_close(top, expected)
    assert torch.autograd.gradcheck(lambda clip: run(message, clip, weights), x, fast_mode=True)


def test_groups_are_those_of_video_caffe_alone():
    nd = message_of(CONVOLUTIONS["video-caffe"].replace("num_output", "group: 3 num_output"))
    nd.convolution_param.num_output = 6
    c3d = message_of(CONVOLUTIONS["C3D 1.1"].replace("num_output", "group: 3 num_output"))
    assert layers.of("NdConvolution").blobs(nd, [CLIP])[0] == (6, 1, 2, 3, 3)
    assert layers.of("Convolution3D").blobs(c3d, [CLIP])[0] == (4, 3, 2, 3, 3)


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_c3ds_pooling_rounds_up_and_ends_with_the_clip(pool):
    message = pooling_layer(
        f"pool: {pool} kernel_size: 2 kernel_depth: 2 stride: 2 temporal_stride: 2")
    x = distinct(*CLIP)
    top = run(message, x)
    operation = getattr(torch.nn.functional, {"MAX": "max_pool3d", "AVE": "avg_pool3d"}[pool])
    assert top.shape == (2, 3, 3, 4, 4)
    torch.testing.assert_close(top, operation(x, 2, 2, ceil_mode=True))
    assert torch.autograd.gradcheck(lambda clip: run(message, clip), x, fast_mode=True)


def test_the_means_of_c3d_count_padding_but_not_what_lies_beyond():
    message = pooling_layer(
        "pool: AVE kernel_size: 3 kernel_depth: 1 stride: 2 pad: 1 temporal_stride: 1")
    top = run(message, torch.ones(1, 1, 1, 4, 4))
    # Three windows start at -1, 1 and 3; the last ends behind the padding, after two cells.
    line = np.array([2 / 3, 1, 1 / 2])
    np.testing.assert_allclose(top.numpy()[0, 0, 0], np.outer(line, line), rtol=1e-6)


def test_in_c3d_every_cell_that_holds_the_maximum_has_the_gradient():
    message = pooling_layer(
        "kernel_size: 2 kernel_depth: 2 stride: 2 temporal_stride: 2")
    x = torch.zeros(1, 1, 2, 2, 4, requires_grad=True)
    with torch.no_grad():
        x[0, 0, 1, 1, 3] = 1
    gradient, = torch.autograd.grad(run(message, x).sum(), x)
    expected = np.zeros((2, 2, 4))
    expected[:, :, :2] = 1  # All of them are zero, as behind a ReLU.
    expected[1, 1, 3] = 1
    np.testing.assert_array_equal(gradient.numpy()[0, 0], expected)


def test_pooling_with_the_parameters_of_c3d_1_0_is_the_same():
    x = distinct(*CLIP)
    parameters = "kernel_size: 2 kernel_depth: 1 stride: 2"
    old = message_of('layers { name: "it" type: POOLING3D pooling_param { %s } }' % parameters)
    torch.testing.assert_close(run(old, x), run(pooling_layer(parameters), x))


@pytest.mark.parametrize("pool", ["MAX", "AVE"])
def test_video_caffes_pooling_rounds_down(pool):
    message = pooling_layer(
        f"pool: {pool} kernel_shape {{ dim: 1 dim: 2 dim: 2 }} "
        "stride_shape { dim: 1 dim: 2 dim: 2 }", "NdPooling", "pooling_param")
    x = distinct(*CLIP)
    operation = getattr(torch.nn.functional, {"MAX": "max_pool3d", "AVE": "avg_pool3d"}[pool])
    torch.testing.assert_close(run(message, x), operation(x, (1, 2, 2)))


def test_video_caffe_leaves_out_axes_of_one_cell():
    whole = pooling_layer("global_pooling: true", "NdPooling", "pooling_param")
    assert run(whole, distinct(*CLIP)).shape == (2, 3)
    frames = pooling_layer("kernel_shape { dim: 5 dim: 2 dim: 2 }", "NdPooling", "pooling_param")
    assert run(frames, distinct(*CLIP)).shape == (2, 3, 6, 7)


@pytest.mark.parametrize("kind, parameters, problem", [
    ("Convolution3D", "convolution3d_param { num_output: 1 kernel_size: 3 }",
     "it has no kernel_depth"),
    ("Convolution3D", "convolution3d_param { num_output: 1 kernel_depth: 3 }",
     "it has no kernel_size"),
    ("Convolution3D", "convolution_param { num_output: 1 kernel_size: 3 kernel_size: 1 "
     "kernel_depth: 1 }", "it takes one kernel_size"),
    ("Convolution3D", "convolution3d_param { num_output: 1 kernel_size: 3 kernel_depth: 9 }",
     "its kernel of 9 does not fit into 5"),
    ("NdConvolution", "convolution_param { num_output: 1 kernel_size: 3 }",
     "it has no kernel_shape"),
    ("NdConvolution", "convolution_param { num_output: 1 kernel_shape { dim: 3 dim: 3 } }",
     "its windows have 2 axes and its bottom 3 behind the channels"),
    ("NdConvolution", "convolution_param { num_output: 1 kernel_shape { dim: 3 } "
     "stride_shape { dim: 3 dim: 3 } }", "its kernel_shape has 1 axes and its stride_shape 2"),
    ("Pooling3D", "pooling3d_param { kernel_size: 2 kernel_depth: 1 pad: 1 }",
     "only its AVE pooling takes a pad"),
    ("Pooling3D", "pooling3d_param { kernel_size: 1 kernel_depth: 1 temporal_stride: 3 stride: 1 }",
     "its last window lies outside its bottom"),
    ("Pooling3D", "pooling3d_param { pool: STOCHASTIC kernel_size: 1 kernel_depth: 1 }",
     "its pooling is neither MAX nor AVE"),
    ("Convolution", "convolution_param { num_output: 1 kernel_size: 3 kernel_depth: 3 }",
     "its type takes no kernel_depth; Convolution3D and Pooling3D or NdConvolution and "
     "NdPooling do"),
])
def test_windows_that_cannot_be_are_one_sentence(kind, parameters, problem):
    message = message_of(f'layer {{ name: "it" type: "{kind}" {parameters} }}')
    with pytest.raises(ValueError) as caught:
        layers.of(kind).shape(message, [(1, 3, 5, 8, 8)], 1)
    assert str(caught.value) == problem


def test_means_that_may_count_padding_are_refused():
    from prototxt_tools.errors import EngineError

    message = pooling_layer("pool: AVE kernel_shape { dim: 2 dim: 2 dim: 2 } "
                            "pad_shape { dim: 1 dim: 1 dim: 1 }", "NdPooling", "pooling_param")
    with pytest.raises(EngineError, match="layer 'it': whether the means of NdPooling count"):
        run(message, distinct(*CLIP))


def test_a_cell_sees_the_frames_and_pixels_of_its_windows():
    convolution = message_of(CONVOLUTIONS["C3D 1.1"])
    spans = [layers.Span(0, 0, 1)] * 3
    seen = layers.of("Convolution3D").receptive(
        convolution, [spans], [CLIP, (2, 4, 6, 4, 4)])
    assert seen == [layers.Span(-1, 0, 1), layers.Span(-1, 1, 2), layers.Span(-1, 1, 2)]
    pooling = pooling_layer("global_pooling: true", "NdPooling", "pooling_param")
    assert layers.of("NdPooling").receptive(pooling, [spans], [CLIP, (2, 3)]) is None
