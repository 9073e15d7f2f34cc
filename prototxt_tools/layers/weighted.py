"""Layers with learned parameters, but for convolutions.

Caffe: the layers' own files in ``src/caffe/layers``; ``recurrent_layer.cpp``, ``lstm_layer.cpp``
and ``rnn_layer.cpp`` for the parameters of the nets that LSTM and RNN unroll.
"""

from typing import List, Tuple

from prototxt_tools.layers.sizes import Message, Shape, Shapes, Tops, axis_of, check, volume


def inner_product(message: Message, bottoms: Shapes, count: int) -> Tops:
    parameters = message.inner_product_param
    check(parameters.num_output, "it has no num_output")
    rows = bottoms[0][: axis_of(parameters.axis, bottoms[0])]
    check(volume(rows) or not parameters.bias_term, "a bias for an empty output")
    return [rows + (parameters.num_output,)]


def inner_product_blobs(message: Message, bottoms: Shapes) -> Tops:
    parameters = message.inner_product_param
    inputs = volume(bottoms[0][axis_of(parameters.axis, bottoms[0]) :])
    weight = (parameters.num_output, inputs)
    bias = (parameters.num_output,) if parameters.bias_term else None
    return [weight[::-1] if parameters.transpose else weight, bias]


def embed(message: Message, bottoms: Shapes, count: int) -> Tops:
    check(message.embed_param.num_output, "it has no num_output")
    check(message.embed_param.input_dim, "it has no input_dim")
    return [bottoms[0] + (message.embed_param.num_output,)]


def embed_blobs(message: Message, bottoms: Shapes) -> Tops:
    parameters = message.embed_param
    bias = (parameters.num_output,) if parameters.bias_term else None
    return [(parameters.input_dim, parameters.num_output), bias]


def batch_norm(message: Message, bottoms: Shapes, count: int) -> Tops:
    check(len(bottoms[0]) >= 2, "it needs 2 axes or more")
    return bottoms[:1]


def batch_norm_blobs(message: Message, bottoms: Shapes) -> Tops:
    channels = bottoms[0][1:2]
    blobs: List[Shape] = [channels, channels, (1,)]
    return blobs + [channels, channels] if scales_inside(message) else blobs


def scales_inside(message: Message) -> bool:
    """Whether a BatchNorm has the factors and summands of a Scale as its fourth and fifth blob.

    NVIDIA's fork: ``scale_bias``, or in older versions any filler for them.
    """
    parameters = message.batch_norm_param
    return parameters.scale_bias or (
        not parameters.HasField("scale_bias")
        and (parameters.HasField("scale_filler") or parameters.HasField("bias_filler")))


def scale(message: Message, bottoms: Shapes, count: int) -> Tops:
    axis, shape = _scaled(message, bottoms)
    scaled_axes = bottoms[0][axis : axis + len(shape)]
    check(scaled_axes == shape, f"{shape} does not fit {bottoms[0]} at axis {axis}")
    return bottoms[:1]


def _scaled(message: Message, bottoms: Shapes) -> Tuple[int, Shape]:
    """The axis and shape of the factors or summands, learned or from a second bottom."""
    parameters = message.scale_param if message.type == "Scale" else message.bias_param
    axes, shape = parameters.num_axes, bottoms[0]
    check(axes >= -1, f"its num_axes is {axes}")
    bias = message.type == "Scale" and message.scale_param.bias_term
    if len(bottoms) > 1 and not bottoms[1] and not bias:
        return 0, ()
    axis = axis_of(parameters.axis, shape)
    if len(bottoms) > 1:
        return axis if bottoms[1] else 0, bottoms[1]
    if axes == 0:
        return 0, ()
    check(axes == -1 or axis + axes <= len(shape), f"num_axes {axes} from axis {axis}")
    return axis, shape[axis:] if axes == -1 else shape[axis : axis + axes]


def scale_blobs(message: Message, bottoms: Shapes) -> Tops:
    shape = _scaled(message, bottoms)[1]
    bias = message.type == "Scale" and message.scale_param.bias_term
    return [shape if len(bottoms) == 1 else None, shape if bias else None]


def prelu(message: Message, bottoms: Shapes, count: int) -> Tops:
    check(2 <= len(bottoms[0]) <= 4, "it needs 2 to 4 axes")
    return bottoms[:1]


def prelu_blobs(message: Message, bottoms: Shapes) -> Tops:
    return [() if message.prelu_param.channel_shared else (bottoms[0][1],)]


def bn_blobs(message: Message, bottoms: Shapes) -> Tops:
    return [(1, bottoms[0][1], 1, 1)] * (4 if message.bn_param.bn_mode == 0 else 2)


def normalize_blobs(message: Message, bottoms: Shapes) -> Tops:
    return [(1,) if message.norm_param.channel_shared else (bottoms[0][1],)]


def parameter(message: Message, bottoms: Shapes, count: int) -> Tops:
    return [tuple(message.parameter_param.shape.dim)]


def parameter_blobs(message: Message, bottoms: Shapes) -> Tops:
    return [tuple(message.parameter_param.shape.dim)]


def recurrent(message: Message, bottoms: Shapes, count: int) -> Tops:
    sequence, outputs = bottoms[0], message.recurrent_param.num_output
    check(len(sequence) >= 2, "its first bottom needs 2 axes or more: time and batch")
    check(bottoms[1] == sequence[:2], f"its second bottom needs the shape {sequence[:2]}")
    check(outputs, "it has no num_output")
    state, exposed = (1, sequence[1], outputs), exposed_states(message)
    check(
        all(shape == state for shape in bottoms[len(bottoms) - exposed :]),
        f"its last {exposed} bottoms need the shape {state}",
    )
    if len(bottoms) > 2 + exposed:
        check(bottoms[2][:1] == sequence[1:2], "its third bottom needs one item per sequence")
    return [sequence[:2] + (outputs,)] + [state] * exposed


def exposed_states(message: Message) -> int:
    return {"LSTM": 2, "RNN": 1}[message.type] if message.recurrent_param.expose_hidden else 0


def recurrent_blobs(message: Message, bottoms: Shapes) -> Tops:
    outputs = message.recurrent_param.num_output
    gates = outputs * (4 if message.type == "LSTM" else 1)
    blobs = [(gates, volume(bottoms[0][2:])), (gates,)]
    if len(bottoms) > 2 + exposed_states(message):
        blobs.append((gates, volume(bottoms[2][1:])))
    blobs.append((gates, outputs))
    if message.type == "RNN":
        blobs += [(outputs, outputs), (outputs,)]
    return blobs


def lstm_unit(message: Message, bottoms: Shapes, count: int) -> Tops:
    state, gates = bottoms[:2]
    check(len(state) == len(gates) == 3, "its first two bottoms need 3 axes")
    check(gates[2] == 4 * state[2], f"{gates[2]} gates for {state[2]} cells")
    return [state] * count
