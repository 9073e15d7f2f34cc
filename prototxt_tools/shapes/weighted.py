"""Layers with learned parameters, but for convolutions.

Caffe: the layers' own files in ``src/caffe/layers``; ``recurrent_layer.cpp``, ``lstm_layer.cpp``
and ``rnn_layer.cpp`` for the parameters of the nets that LSTM and RNN unroll.
"""

from prototxt_tools.shapes.rules import axis_of, check, parameters_of, tops_of, volume


@tops_of("InnerProduct")
def _inner_product(message, bottoms, count):
    parameters = message.inner_product_param
    check(parameters.num_output, "it has no num_output")
    rows = bottoms[0][: axis_of(parameters.axis, bottoms[0])]
    check(volume(rows) or not parameters.bias_term, "a bias for an empty output")
    return [rows + (parameters.num_output,)]


@parameters_of("InnerProduct")
def _inner_product_parameters(message, bottoms):
    parameters = message.inner_product_param
    inputs = volume(bottoms[0][axis_of(parameters.axis, bottoms[0]) :])
    weight = (parameters.num_output, inputs)
    bias = (parameters.num_output,) if parameters.bias_term else None
    return [weight[::-1] if parameters.transpose else weight, bias]


@tops_of("Embed")
def _embed(message, bottoms, count):
    check(message.embed_param.num_output, "it has no num_output")
    check(message.embed_param.input_dim, "it has no input_dim")
    return [bottoms[0] + (message.embed_param.num_output,)]


@parameters_of("Embed")
def _embed_parameters(message, bottoms):
    parameters = message.embed_param
    bias = (parameters.num_output,) if parameters.bias_term else None
    return [(parameters.input_dim, parameters.num_output), bias]


@tops_of("BatchNorm")
def _batch_norm(message, bottoms, count):
    check(len(bottoms[0]) >= 2, "it wants 2 axes or more")
    return bottoms[:1]


@parameters_of("BatchNorm")
def _batch_norm_parameters(message, bottoms):
    return [bottoms[0][1:2], bottoms[0][1:2], (1,)]


@tops_of("Scale", "Bias")
def _scale(message, bottoms, count):
    axis, shape = _scaled(message, bottoms)
    there = bottoms[0][axis : axis + len(shape)]
    check(there == shape, f"{shape} does not fit {bottoms[0]} at axis {axis}")
    return bottoms[:1]


def _scaled(message, bottoms):
    """The axis and shape of the factors or summands, learned or from a second bottom."""
    parameters = message.scale_param if message.type == "Scale" else message.bias_param
    axes, shape = parameters.num_axes, bottoms[0]
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


@parameters_of("Scale", "Bias")
def _scale_parameters(message, bottoms):
    shape = _scaled(message, bottoms)[1]
    bias = message.type == "Scale" and message.scale_param.bias_term
    return [shape if len(bottoms) == 1 else None, shape if bias else None]


@tops_of("PReLU")
def _prelu(message, bottoms, count):
    check(2 <= len(bottoms[0]) <= 4, "it wants 2 to 4 axes")
    return bottoms[:1]


@parameters_of("PReLU")
def _prelu_parameters(message, bottoms):
    return [() if message.prelu_param.channel_shared else (bottoms[0][1],)]


@parameters_of("BN")
def _bn_parameters(message, bottoms):
    return [(1, bottoms[0][1], 1, 1)] * (4 if message.bn_param.bn_mode == 0 else 2)


@parameters_of("Normalize")
def _normalize_parameters(message, bottoms):
    return [(1,) if message.norm_param.channel_shared else (bottoms[0][1],)]


@tops_of("Parameter")
def _parameter(message, bottoms, count):
    return [tuple(message.parameter_param.shape.dim)]


@parameters_of("Parameter")
def _parameter_parameters(message, bottoms):
    return [tuple(message.parameter_param.shape.dim)]


@tops_of("LSTM", "RNN")
def _recurrent(message, bottoms, count):
    sequence, outputs = bottoms[0], message.recurrent_param.num_output
    check(len(sequence) >= 2, "its first bottom wants 2 axes or more: time and batch")
    check(bottoms[1] == sequence[:2], f"its second bottom wants the shape {sequence[:2]}")
    check(outputs, "it has no num_output")
    state, exposed = (1, sequence[1], outputs), _exposed_states(message)
    check(
        all(shape == state for shape in bottoms[len(bottoms) - exposed :]),
        f"its last {exposed} bottoms want the shape {state}",
    )
    if len(bottoms) > 2 + exposed:
        check(bottoms[2][:1] == sequence[1:2], "its third bottom wants one item per sequence")
    return [sequence[:2] + (outputs,)] + [state] * exposed


def _exposed_states(message):
    return {"LSTM": 2, "RNN": 1}[message.type] if message.recurrent_param.expose_hidden else 0


@parameters_of("LSTM", "RNN")
def _recurrent_parameters(message, bottoms):
    outputs = message.recurrent_param.num_output
    gates = outputs * (4 if message.type == "LSTM" else 1)
    blobs = [(gates, volume(bottoms[0][2:])), (gates,)]
    if len(bottoms) > 2 + _exposed_states(message):
        blobs.append((gates, volume(bottoms[2][1:])))
    blobs.append((gates, outputs))
    if message.type == "RNN":
        blobs += [(outputs, outputs), (outputs,)]
    return blobs


@tops_of("LSTMUnit")
def _lstm_unit(message, bottoms, count):
    state, gates = bottoms[:2]
    check(len(state) == len(gates) == 3, "its first two bottoms want 3 axes")
    check(gates[2] == 4 * state[2], f"{gates[2]} gates for {state[2]} cells")
    return [state] * count
