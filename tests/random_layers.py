"""Random single layers, sound and unsound, of every type that needs no files."""


class Choose:
    """Random numbers and options from a ``random.Random``."""

    def __init__(self, random):
        self.random = random
        self.one_of = random.choice

    def number(self, low, high):
        return self.random.randint(low, high)

    def shape(self, axes=None, low=1, high=6):
        axes = axes or self.one_of([1, 2, 3, 4, 4, 4, 4, 5])
        return tuple(self.number(low, high) for _ in range(axes))

    def like(self, shape):
        """The shape, seldom with another size."""
        return tuple(n if self.random.random() < 0.9 else self.number(1, 6) for n in shape)

    def maybe(self, chance, *fields):
        return self.one_of(fields) + " " if self.random.random() < chance else ""

    def axis(self, chance=0.5, name="axis"):
        return self.maybe(chance, f"{name}: {self.number(-4, 4)}")


SAME = "AbsVal BatchNorm BNLL Dropout ELU Exp Log Power ReLU Sigmoid TanH Threshold Swish".split()
LOSSES = ("EuclideanLoss", "HingeLoss", "MultinomialLogisticLoss", "SigmoidCrossEntropyLoss")


def layer(kind, choose):
    """Parameters as text, the shapes of the bottoms, and how many tops."""
    make = globals().get("_" + kind.lower())
    if make is not None:
        made = make(choose)
    elif kind in LOSSES:
        shape = choose.shape(high=4)
        made = "", [shape, _labels(choose, shape)]
    else:
        made = "", [choose.shape()]
    parameters, bottoms = made[:2]
    tops = made[2] if len(made) > 2 else 1
    return parameters, bottoms, tops + (choose.random.random() < 0.03)


def text(kind, parameters, bottoms, tops):
    """A net of Input layers b0, b1, ... and the layer l with tops t0, t1, ..."""
    lines = []
    for index, shape in enumerate(bottoms):
        dims = " ".join(f"dim: {size}" for size in shape)
        form = 'layer {{ name: "i{0}" type: "Input" top: "b{0}" input_param {{ {1} }} }}'
        lines.append(form.format(index, f"shape {{ {dims} }}"))
    reads = " ".join(f'bottom: "b{index}"' for index in range(len(bottoms)))
    makes = " ".join(f'top: "t{index}"' for index in range(tops))
    form = 'layer {{ name: "l" type: "{}" {} {} {} }}'
    return "\n".join(lines + [form.format(kind, reads, makes, parameters)])


def _window(c):
    kernels = [f"kernel_size: {c.number(0, 4)}"] * 4 + [
        f"kernel_h: {c.number(1, 3)} kernel_w: {c.number(1, 3)}",
        f"kernel_size: {c.number(1, 3)} kernel_size: {c.number(1, 3)}",
        "kernel_size: 2 kernel_size: 1 kernel_size: 3",
        "",
    ]
    return "convolution_param {{ {} {}{}{}{}{}{}{}}}".format(
        c.one_of(kernels),
        c.maybe(0.95, "num_output: 4", "num_output: 6"),
        c.maybe(0.4, "stride: %d" % c.number(0, 3), "stride_h: 2 stride_w: 1", "stride: [1, 2]"),
        c.maybe(0.4, "pad: %d" % c.number(0, 3), "pad_h: 1", "pad_w: 1 pad_h: 0", "pad: [1, 0]"),
        c.maybe(0.2, "dilation: 2", "dilation: 3", "dilation: [1, 2]"),
        c.maybe(0.3, "group: 2", "group: 3", "group: 0"),
        c.maybe(0.2, "bias_term: false"),
        c.maybe(0.15, "axis: 2", "axis: -2", "axis: 0", "axis: 5"),
    )


def _convolution(c):
    return _window(c), [c.one_of([c.shape(4, 2, 8), c.shape(4, 2, 8), c.shape()])]


_deconvolution = _im2col = _convolution


def _pooling(c):
    kernel = "kernel_size: %d" % c.number(1, 4)
    parameters = "pooling_param {{ {}{}{}{}{}{}}}".format(
        c.maybe(0.5, "pool: AVE", "pool: MAX", "pool: STOCHASTIC"),
        c.maybe(0.95, kernel, "kernel_h: 2 kernel_w: 3", "kernel_h: 2", kernel + " kernel_h: 2"),
        c.maybe(0.5, "stride: %d" % c.number(1, 3), "stride_h: 2 stride_w: 1", "stride_h: 2"),
        c.maybe(0.4, "pad: %d" % c.number(0, 3), "pad_h: 1 pad_w: 0", "pad_h: 1", "pad_w: 2"),
        c.maybe(0.3, "round_mode: FLOOR", "round_mode: CEIL"),
        c.maybe(0.15, "global_pooling: true"),
    )
    return parameters, [c.one_of([c.shape(4, 1, 8)] * 5 + [c.shape()])], c.one_of([1, 1, 1, 2])


def _spp(c):
    height = c.maybe(0.95, "pyramid_height: %d" % c.number(0, 3))
    return f"spp_param {{ {height}}}", [c.shape(4, 1, 9)]


def _lrn(c):
    region = c.maybe(0.4, "norm_region: WITHIN_CHANNEL")
    return f"lrn_param {{ local_size: {c.number(1, 6)} {region}}}", [c.shape()]


def _mvn(c):
    return "mvn_param {{ {}}}".format(c.maybe(0.5, "across_channels: true")), [c.shape()]


def _prelu(c):
    return "prelu_param {{ {}}}".format(c.maybe(0.5, "channel_shared: true")), [c.shape()]


def _softmax(c):
    return f"softmax_param {{ {c.axis()}}}", [c.shape()]


def _clip(c):
    return "clip_param { min: 0 max: 1 }", [c.shape()]


def _innerproduct(c):
    parameters = "inner_product_param {{ {}{}{}{}}}".format(
        c.maybe(0.95, "num_output: 5"), c.axis(0.4), c.maybe(0.3, "transpose: true"),
        c.maybe(0.3, "bias_term: false"),
    )
    return parameters, [c.shape()]


def _embed(c):
    sizes = c.maybe(0.9, "num_output: 5") + c.maybe(0.9, "input_dim: 7")
    return "embed_param {{ {}{}}}".format(sizes, c.maybe(0.3, "bias_term: false")), [c.shape()]


def _flatten(c):
    return "flatten_param {{ {}{}}}".format(c.axis(), c.axis(0.5, "end_axis")), [c.shape()]


def _reshape(c):
    dims = "".join("dim: %d " % c.one_of([0, 0, -1, 1, 2, 3, 4, 6]) for _ in range(c.number(0, 4)))
    more = c.axis(0.4) + c.maybe(0.4, "num_axes: %d" % c.number(-2, 3))
    bottom = tuple(c.one_of([1, 2, 3, 4, 6]) for _ in range(c.number(1, 4)))
    return f"reshape_param {{ shape {{ {dims}}} {more}}}", [bottom]


def _reduction(c):
    return f"reduction_param {{ {c.axis()}}}", [c.shape()]


def _argmax(c):
    more = c.maybe(0.5, "top_k: %d" % c.number(0, 5)) + c.maybe(0.5, "out_max_val: true")
    return f"argmax_param {{ {c.axis()}{more}}}", [c.shape()]


def _tile(c):
    tiles = c.maybe(0.9, "tiles: %d" % c.number(0, 3))
    return f"tile_param {{ {c.axis()}{tiles}}}", [c.shape()]


def _factors(c, name, more):
    shape = c.shape(None, 1, 3)
    bottoms = [shape]
    if c.random.random() < 0.4:
        bottoms.append(shape[c.number(0, len(shape) - 1) :][: c.number(0, 3)])
    axes = c.axis() + c.maybe(0.5, "num_axes: %d" % c.number(-1, 3))
    return f"{name} {{ {axes}{more}}}", bottoms


def _scale(c):
    return _factors(c, "scale_param", c.maybe(0.5, "bias_term: true"))


def _bias(c):
    return _factors(c, "bias_param", "")


def _several(c):
    shape = c.shape(None, 1, 3)
    return [shape] + [c.like(shape) for _ in range(c.number(0, 2))]


def _concat(c):
    old = c.maybe(0.15, "concat_dim: %d" % c.number(0, 3))
    return f"concat_param {{ {c.axis()}{old}}}", _several(c)


def _eltwise(c):
    operation = c.maybe(0.5, "operation: PROD", "operation: MAX", "operation: SUM")
    coefficients = c.maybe(0.3, "coeff: [1, 2]", "coeff: 1")
    return f"eltwise_param {{ {operation}{coefficients}}}", _several(c)


def _slice(c):
    points = sorted(c.number(0, 6) for _ in range(c.one_of([0, 0, 1, 2])))
    said = c.axis() + c.maybe(0.15, "slice_dim: %d" % c.number(0, 3))
    said += "".join("slice_point: %d " % point for point in points)
    return f"slice_param {{ {said}}}", [c.shape(None, 1, 7)], c.number(1, 3)


def _crop(c):
    like = c.shape(c.one_of([2, 3, 4, 4]), 1, 4)
    offsets = "".join("offset: %d " % c.number(0, 2) for _ in range(c.one_of([0, 1, 2])))
    bottom = tuple(size + c.number(0, 3) for size in like)
    more = () if c.random.random() < 0.9 else (2,)
    return f"crop_param {{ {c.axis()}{offsets}}}", [bottom, like + more]


def _split(c):
    return "", [c.shape()], c.number(1, 2)


def _silence(c):
    return "", [c.shape()], 0


def _batchreindex(c):
    return "", [c.shape(), c.shape(c.one_of([1, 1, 1, 2]))]


def _filter(c):
    shape = c.shape()
    return "", [shape, c.like(shape[:1]) + c.one_of([(), (1,), (1, 1), (2,)])]


def _parameter(c):
    return "parameter_param { shape { dim: %d dim: 2 } }" % c.number(1, 3), []


def _lstmunit(c):
    return "", [(1, 2, 3), (1, 2, c.one_of([12, 9])), (1, 2)], 2


def _recurrent(c, states):
    steps, batch = c.number(1, 3), c.number(1, 3)
    bottoms = [(steps, batch) + c.shape(c.number(1, 2))]
    bottoms.append((steps, batch) if c.random.random() < 0.9 else (steps, batch, 1))
    if c.random.random() < 0.4:
        bottoms.append(c.like((batch,)) + c.shape(c.number(1, 2)))
    exposed = c.random.random() < 0.3
    if exposed:
        bottoms += [c.like((1, batch, 4))] * c.one_of([states, states, 3 - states])
    said = c.maybe(0.95, "num_output: 4") + ("expose_hidden: true" if exposed else "")
    form = 'recurrent_param {{ {} weight_filler {{ type: "constant" }} }}'
    return form.format(said), bottoms, 1 + states * exposed


def _lstm(c):
    return _recurrent(c, 2)


def _rnn(c):
    return _recurrent(c, 1)


def _labels(c, shape):
    ends = [(), (1,), (1, 1, 1), shape[1:], shape[2:]]
    return c.one_of([c.like(shape)] + [shape[:1] + end for end in ends])


def _softmaxwithloss(c):
    shape = c.shape(None, 1, 4)
    return f"softmax_param {{ {c.axis()}}}", [shape, _labels(c, shape)], c.one_of([1, 1, 2])


def _accuracy(c):
    shape = c.shape(None, 1, 4)
    top_k = c.maybe(0.4, "top_k: %d" % c.number(0, 5))
    bottoms = [shape, _labels(c, shape)]
    return f"accuracy_param {{ {c.axis()}{top_k}}}", bottoms, c.one_of([1, 1, 2])


def _infogainloss(c):
    shape = c.shape()
    classes = shape[1] if len(shape) > 1 else 2
    return "", [shape, _labels(c, shape), (1, 1) + c.like((classes, classes))]


def _contrastiveloss(c):
    shape = (c.number(1, 3), c.number(1, 3)) + c.one_of([(), (1, 1), (2,)])
    return "", [shape, c.like(shape), shape[:1] + c.one_of([(), (1,), (2,), (1, 1, 1)])]


def _dummydata(c):
    old = ("num: 2 channels: 3 height: 1 width: 4", "num: [1, 2] channels: 3 height: 1 width: 2",
           "num: 1 channels: 2")
    new = ("shape { dim: 2 dim: 3 }", "shape { dim: 2 } shape { dim: 4 }")
    parameters = f"dummy_data_param {{ {c.maybe(0.5, *old)}{c.maybe(0.5, *new)}}}"
    return parameters, [], c.number(1, 2)


def _memorydata(c):
    batch = c.maybe(0.9, "batch_size: 2")
    return f"memory_data_param {{ {batch}channels: 1 height: 2 width: 3 }}", [], 2


KINDS = sorted(
    set(SAME) | set(LOSSES) | set(
        """Accuracy ArgMax BatchReindex Bias Clip Concat ContrastiveLoss Convolution Crop
        Deconvolution DummyData Eltwise Embed Filter Flatten Im2col InfogainLoss InnerProduct LRN
        LSTM LSTMUnit MVN MemoryData PReLU Parameter Pooling RNN Reduction Reshape SPP Scale Silence
        Slice Softmax SoftmaxWithLoss Split Tile""".split()
    )
)
