"""Blob and parameter shapes, without running Caffe.

Each rule follows the ``Reshape`` of the layer in Caffe's ``src/caffe/layers``.
"""

from prototxt_tools.errors import InputError

_SAME = (
    "AbsVal BatchNorm Bias BNLL Clip Dropout ELU Exp Log LRN MVN Power PReLU ReLU ReLU6 Scale "
    "Sigmoid Softmax Swish TanH Threshold BN Normalize ShuffleChannel"
)
_LOSSES = (
    "SoftmaxWithLoss EuclideanLoss HingeLoss InfogainLoss MultinomialLogisticLoss ContrastiveLoss "
    "SigmoidCrossEntropyLoss"
)
_TOP_RULES = {}
_PARAM_RULES = {}


def infer(net, inputs=None):
    """The shape of every blob, after the last layer that writes it.

    Parameters
    ----------
    net : prototxt_tools.net.Net
        At one phase.
    inputs : dict, optional
        Shapes of input blobs by name; they go before those of the file.

    Returns
    -------
    dict
        Blob name to tuple of int. Blobs behind layers of unknown type, and behind data layers
        that do not say their size, are absent.

    Raises
    ------
    InputError
        Names the layer that cannot be built, and why.
    """
    shapes = {entry.blob: entry.shape for entry in net.inputs if entry.shape}
    shapes.update(inputs or {})
    for layer in net.layers:
        if layer.type == "Input":
            continue
        shapes.update(zip(layer.tops, _tops(layer, shapes)))
    return shapes


def parameters(net, shapes):
    """The shapes of the learned parameters of every layer that has some.

    Parameters
    ----------
    net : prototxt_tools.net.Net
    shapes : dict
        As ``infer`` gives them.

    Returns
    -------
    dict
        Layer name to list of tuples, in the order of Caffe's ``layer.blobs``.
    """
    found = {}
    for layer in net.layers:
        rule = _PARAM_RULES.get(layer.type)
        bottoms = [shapes.get(bottom) for bottom in layer.bottoms]
        if rule is None or None in bottoms:
            continue
        blobs = [shape for shape in rule(layer.message, bottoms) if shape is not None]
        if blobs:
            found[layer.name] = blobs
    return found


def parameter_count(layer):
    """How many learned parameter blobs a layer has, whatever their shapes."""
    rule = _PARAM_RULES.get(layer.type)
    if rule is None:
        return 0
    if rule is _convolution_params:  # its kernel may have any number of axes, or none yet
        return 1 + layer.message.convolution_param.bias_term
    bottoms = [(1, 1, 1, 1)] * len(layer.bottoms)
    return sum(shape is not None for shape in rule(layer.message, bottoms))


def _tops(layer, shapes):
    rule = _TOP_RULES.get(layer.type)
    bottoms = [shapes.get(bottom) for bottom in layer.bottoms]
    if rule is None or None in bottoms:
        return []
    try:
        tops = rule(layer.message, bottoms, len(layer.tops))
        if any(size < 0 for top in tops if top for size in top):
            raise ValueError("its window is larger than its input {}".format(bottoms[0]))
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise InputError(
            "layer {} ({}) cannot be built on {}: {}".format(
                layer.name, layer.type, " and ".join(map(str, bottoms)) or "no bottoms", error
            )
        ) from error
    return [top for top in tops if top is not None]


def _tops_of(*types):
    def register(function):
        for name in types:
            _TOP_RULES[name] = function
        return function

    return register


def _params_of(*types):
    def register(function):
        for name in types:
            _PARAM_RULES[name] = function
        return function

    return register


@_tops_of(*_SAME.split())
def _same(message, bottoms, count):
    return bottoms[:1]


@_tops_of("Split")
def _split(message, bottoms, count):
    return bottoms[:1] * count


@_tops_of(*_LOSSES.split())
def _loss(message, bottoms, count):
    return [()] + bottoms[:1] * (count - 1)


@_tops_of("Accuracy")
def _accuracy(message, bottoms, count):
    return [(), (bottoms[0][message.accuracy_param.axis],)][:count]


@_tops_of("Silence")
def _silence(message, bottoms, count):
    return []


def window(parameters, prefix, spatial, default):
    """Kernel, stride, pad or dilation along each spatial axis (``base_conv_layer.cpp``).

    Parameters
    ----------
    parameters : ConvolutionParameter or PoolingParameter
    prefix : str
        "kernel", "stride", "pad" or "dilation".
    spatial : int
        Number of spatial axes.
    default : int or None

    Returns
    -------
    list of int

    Raises
    ------
    ValueError
        If the file says nothing and there is no default, or not one or ``spatial`` values.
    """
    if getattr(parameters, prefix + "_h", 0) or getattr(parameters, prefix + "_w", 0):
        return [getattr(parameters, prefix + "_h"), getattr(parameters, prefix + "_w")]
    values = getattr(parameters, "kernel_size" if prefix == "kernel" else prefix)
    values = [values] if isinstance(values, int) else list(values)
    values = [value for value in values if value or prefix == "pad"] or [default]
    if values == [None]:
        raise ValueError("it has no kernel_size")
    if len(values) not in (1, spatial):
        raise ValueError("{} values of {} for {} axes".format(len(values), prefix, spatial))
    return values * spatial if len(values) == 1 else values


def convolution_windows(parameters, spatial):
    """(kernel, stride, pad, dilation), each a list of ``spatial`` int."""
    return (
        window(parameters, "kernel", spatial, None),
        window(parameters, "stride", spatial, 1),
        window(parameters, "pad", spatial, 0),
        window(parameters, "dilation", spatial, 1),
    )


def axis_of(index, shape):
    """An axis counted from the end if negative; ValueError if there is none such."""
    if not -len(shape) <= index < len(shape):
        raise ValueError("axis {} of a blob with {} axes".format(index, len(shape)))
    return index % len(shape)


@_tops_of("Convolution", "Deconvolution", "DepthwiseConvolution", "ConvolutionDepthwise")
def _convolution(message, bottoms, count):
    parameters = message.convolution_param
    axis = axis_of(parameters.axis, bottoms[0])
    spatial = bottoms[0][axis + 1 :]
    _check_groups(parameters, bottoms[0][axis])
    sizes = []
    for size, kernel, stride, pad, dilation in zip(
        spatial, *convolution_windows(parameters, len(spatial))
    ):
        extent = dilation * (kernel - 1) + 1
        if message.type == "Deconvolution":
            sizes.append(stride * (size - 1) + extent - 2 * pad)
        else:
            if size + 2 * pad < extent:
                raise ValueError("its kernel of {} does not fit into {}".format(extent, size))
            sizes.append((size + 2 * pad - extent) // stride + 1)
    return [shape[:axis] + (parameters.num_output,) + tuple(sizes) for shape in bottoms]


def _check_groups(parameters, channels):
    if not parameters.num_output:
        raise ValueError("it has no num_output")
    if channels % parameters.group or parameters.num_output % parameters.group:
        raise ValueError(
            "{} channels to {} do not divide into {} groups".format(
                channels, parameters.num_output, parameters.group
            )
        )


@_params_of("Convolution", "Deconvolution", "DepthwiseConvolution", "ConvolutionDepthwise")
def _convolution_params(message, bottoms):
    parameters = message.convolution_param
    axis = axis_of(parameters.axis, bottoms[0])
    channels, outputs = bottoms[0][axis], parameters.num_output
    if message.type == "Deconvolution":
        channels, outputs = outputs, channels
    group = channels if message.type.count("epthwise") else parameters.group
    kernel = tuple(window(parameters, "kernel", len(bottoms[0]) - axis - 1, None))
    bias = (parameters.num_output,) if parameters.bias_term else None
    return [(outputs, channels // group) + kernel, bias]


@_tops_of("Im2col")
def _im2col(message, bottoms, count):
    parameters = message.convolution_param
    axis = axis_of(parameters.axis, bottoms[0])
    spatial = bottoms[0][axis + 1 :]
    channels, sizes = bottoms[0][axis], []
    for size, kernel, stride, pad, dilation in zip(
        spatial, *convolution_windows(parameters, len(spatial))
    ):
        channels *= kernel
        sizes.append((size + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1)
    return [bottoms[0][:axis] + (channels,) + tuple(sizes)]


def pooling_windows(parameters, size):
    """(kernel, stride, pad), each (h, w); ``size`` is the input's (h, w), for global pooling."""
    if parameters.global_pooling:
        return list(size), [1, 1], [0, 0]
    return (
        window(parameters, "kernel", 2, None),
        window(parameters, "stride", 2, 1),
        window(parameters, "pad", 2, 0),
    )


def pooled_size(size, kernel, stride, pad, ceil=True):
    """Output size along one axis: rounded up, without a window beyond the padded input.

    Caffe: ``PoolingLayer::Reshape`` in ``src/caffe/layers/pooling_layer.cpp``.
    """
    span = size + 2 * pad - kernel
    pooled = -(-span // stride) + 1 if ceil else span // stride + 1
    if pad and (pooled - 1) * stride >= size + pad:
        pooled -= 1
    return pooled


def rounds_up(parameters):
    """Whether a pooling layer rounds its output size up, as Caffe does unless told otherwise."""
    return parameters.round_mode == 0 and parameters.ceil_mode


@_tops_of("Pooling")
def _pooling(message, bottoms, count):
    parameters = message.pooling_param
    if len(bottoms[0]) != 4:
        raise ValueError("it wants 4 axes")
    kernel, stride, pad = pooling_windows(parameters, bottoms[0][2:])
    if any(p >= k for p, k in zip(pad, kernel)):
        raise ValueError("its pad {} is not smaller than its kernel {}".format(pad, kernel))
    ceil = rounds_up(parameters)
    sizes = [pooled_size(*axis, ceil=ceil) for axis in zip(bottoms[0][2:], kernel, stride, pad)]
    return [bottoms[0][:2] + tuple(sizes)] * count


@_tops_of("InnerProduct")
def _inner_product(message, bottoms, count):
    parameters = message.inner_product_param
    axis = axis_of(parameters.axis, bottoms[0])
    return [bottoms[0][:axis] + (parameters.num_output,)]


@_params_of("InnerProduct")
def _inner_product_params(message, bottoms):
    parameters = message.inner_product_param
    inputs = _volume(bottoms[0][axis_of(parameters.axis, bottoms[0]) :])
    weight = (parameters.num_output, inputs)
    bias = (parameters.num_output,) if parameters.bias_term else None
    return [weight[::-1] if parameters.transpose else weight, bias]


@_params_of("BatchNorm")
def _batch_norm_params(message, bottoms):
    channels = bottoms[0][1] if len(bottoms[0]) > 1 else 1
    return [(channels,), (channels,), (1,)]


@_params_of("Scale", "Bias")
def _scale_params(message, bottoms):
    if len(bottoms) > 1:
        parameters, weight = message.scale_param, None
        shape = bottoms[1]
    else:
        parameters = message.scale_param if message.type == "Scale" else message.bias_param
        axis = axis_of(parameters.axis, bottoms[0])
        end = len(bottoms[0]) if parameters.num_axes == -1 else axis + parameters.num_axes
        shape = weight = bottoms[0][axis:end]
    bias = message.type == "Scale" and parameters.bias_term
    return [weight, shape if bias else None]


@_params_of("PReLU")
def _prelu_params(message, bottoms):
    return [(1,) if message.prelu_param.channel_shared else (bottoms[0][1],)]


@_tops_of("Concat")
def _concat(message, bottoms, count):
    parameters = message.concat_param
    legacy = parameters.HasField("concat_dim")
    axis = axis_of(parameters.concat_dim if legacy else parameters.axis, bottoms[0])
    first = bottoms[0]
    for shape in bottoms[1:]:
        if shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]:
            raise ValueError("they differ in more than axis {}".format(axis))
    return [first[:axis] + (sum(shape[axis] for shape in bottoms),) + first[axis + 1 :]]


@_tops_of("Slice")
def _slice(message, bottoms, count):
    parameters, shape = message.slice_param, bottoms[0]
    legacy = parameters.HasField("slice_dim")
    axis = axis_of(parameters.slice_dim if legacy else parameters.axis, shape)
    points = list(parameters.slice_point)
    if not points:
        if shape[axis] % count:
            raise ValueError("{} channels into {} equal slices".format(shape[axis], count))
        points = [shape[axis] // count * i for i in range(1, count)]
    edges = [0] + points + [shape[axis]]
    return [shape[:axis] + (b - a,) + shape[axis + 1 :] for a, b in zip(edges, edges[1:])]


@_tops_of("Eltwise")
def _eltwise(message, bottoms, count):
    if any(shape != bottoms[0] for shape in bottoms):
        raise ValueError("the shapes differ")
    return bottoms[:1]


@_tops_of("Axpy")
def _axpy(message, bottoms, count):
    return bottoms[1:2]


@_tops_of("Flatten")
def _flatten(message, bottoms, count):
    parameters, shape = message.flatten_param, bottoms[0]
    start, end = axis_of(parameters.axis, shape), axis_of(parameters.end_axis, shape)
    return [shape[:start] + (_volume(shape[start : end + 1]),) + shape[end + 1 :]]


@_tops_of("Reshape")
def _reshape(message, bottoms, count):
    parameters, shape = message.reshape_param, bottoms[0]
    start = parameters.axis % (len(shape) + 1)
    end = len(shape) if parameters.num_axes == -1 else start + parameters.num_axes
    dims = [shape[start + i] if d == 0 else d for i, d in enumerate(parameters.shape.dim)]
    if -1 in dims:
        known = _volume(d for d in dims if d != -1)
        dims[dims.index(-1)] = _volume(shape[start:end]) // known
    result = shape[:start] + tuple(dims) + shape[end:]
    if _volume(result) != _volume(shape):
        raise ValueError("{} has another count than {}".format(result, shape))
    return [result]


@_tops_of("Permute")
def _permute(message, bottoms, count):
    order = list(message.permute_param.order)
    order += [axis for axis in range(len(bottoms[0])) if axis not in order]
    return [tuple(bottoms[0][axis] for axis in order)]


@_tops_of("Crop")
def _crop(message, bottoms, count):
    axis = axis_of(message.crop_param.axis, bottoms[0])
    return [bottoms[0][:axis] + bottoms[1][axis:]]


@_tops_of("Reduction")
def _reduction(message, bottoms, count):
    return [bottoms[0][: axis_of(message.reduction_param.axis, bottoms[0])]]


@_tops_of("ArgMax")
def _argmax(message, bottoms, count):
    parameters, shape = message.argmax_param, bottoms[0]
    if parameters.HasField("axis"):
        axis = axis_of(parameters.axis, shape)
        return [shape[:axis] + (parameters.top_k,) + shape[axis + 1 :]]
    size = (shape[0], 2 if parameters.out_max_val else 1, parameters.top_k)
    return [size + (1,) * (len(shape) - 3)]


@_tops_of("Tile")
def _tile(message, bottoms, count):
    axis = axis_of(message.tile_param.axis, bottoms[0])
    tiled = bottoms[0][axis] * message.tile_param.tiles
    return [bottoms[0][:axis] + (tiled,) + bottoms[0][axis + 1 :]]


@_tops_of("Embed")
def _embed(message, bottoms, count):
    return [bottoms[0] + (message.embed_param.num_output,)]


@_params_of("Embed")
def _embed_params(message, bottoms):
    parameters = message.embed_param
    bias = (parameters.num_output,) if parameters.bias_term else None
    return [(parameters.input_dim, parameters.num_output), bias]


@_tops_of("SPP")
def _spp(message, bottoms, count):
    cells = sum(4**level for level in range(message.spp_param.pyramid_height))
    return [(bottoms[0][0], bottoms[0][1] * cells)]


@_tops_of("Parameter")
def _parameter(message, bottoms, count):
    return [tuple(message.parameter_param.shape.dim)]


@_params_of("Parameter")
def _parameter_params(message, bottoms):
    return [tuple(message.parameter_param.shape.dim)]


@_tops_of("LSTM", "RNN")
def _recurrent(message, bottoms, count):
    outputs = message.recurrent_param.num_output
    states = [(1, bottoms[0][1], outputs)] * (count - 1)
    return [bottoms[0][:2] + (outputs,)] + states


@_tops_of("BatchReindex")
def _batch_reindex(message, bottoms, count):
    return [bottoms[1][:1] + bottoms[0][1:]]


@_tops_of("DummyData")
def _dummy_data(message, bottoms, count):
    parameters = message.dummy_data_param
    shapes = [tuple(shape.dim) for shape in parameters.shape] or list(
        zip(parameters.num, parameters.channels, parameters.height, parameters.width)
    )
    return shapes * count if len(shapes) == 1 else shapes


@_tops_of("MemoryData")
def _memory_data(message, bottoms, count):
    parameters = message.memory_data_param
    size = (parameters.batch_size, parameters.channels, parameters.height, parameters.width)
    return [size, (parameters.batch_size,)][:count]


def _volume(sizes):
    product = 1
    for size in sizes:
        product *= size
    return product
