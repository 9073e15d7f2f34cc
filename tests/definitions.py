"""Deploy definitions of well-known architectures, written from their papers, and weights for them.

The weights are random but the same on every machine and numpy: RandomState's stream is frozen.
"""

import numpy as np

from prototxt_tools import shapes
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

# Random numbers that are drawn at a time.
PART = 1 << 18


class Builder:
    """Writes layers in V2 or V1; each method returns the top it makes."""

    V1_TYPES = {
        "Convolution": "CONVOLUTION", "ReLU": "RELU", "Pooling": "POOLING", "Dropout": "DROPOUT",
        "InnerProduct": "INNER_PRODUCT", "Softmax": "SOFTMAX", "LRN": "LRN", "Concat": "CONCAT",
    }

    def __init__(self, name, shape, form="V2"):
        self.form = form
        dims = " ".join(f"input_dim: {size}" for size in shape)
        if form == "V2":
            dims = "input_shape {{ {} }}".format(dims.replace("input_dim", "dim"))
        self.lines = [f'name: "{name}"', 'input: "data"', dims]

    def layer(self, kind, name, bottoms, top=None, params=""):
        bottoms = [bottoms] if isinstance(bottoms, str) else bottoms
        top = top or name
        word = "layer" if self.form == "V2" else "layers"
        said = f'"{kind}"' if self.form == "V2" else self.V1_TYPES[kind]
        reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        self.lines.append(
            f'{word} {{\n  name: "{name}"\n  type: {said}\n  {reads} top: "{top}"\n  {params}\n}}'
        )
        return top

    def conv(self, name, bottom, outputs, kernel, stride=1, pad=0, group=1, bias=True):
        params = "convolution_param {{ num_output: {} kernel_size: {} stride: {} pad: {} {}{}}}"
        return self.layer(
            "Convolution", name, bottom,
            params=params.format(
                outputs, kernel, stride, pad,
                f"group: {group} " if group > 1 else "",
                "" if bias else "bias_term: false ",
            ),
        )

    def relu(self, blob, name=None):
        return self.layer("ReLU", name or "relu_" + blob, blob, top=blob)

    def conv_relu(self, name, *args, **kwargs):
        return self.relu(self.conv(name, *args, **kwargs))

    def pool(self, name, bottom, kernel, stride=1, pad=0, method="MAX"):
        params = (f"pooling_param {{ pool: {method} kernel_size: {kernel} stride: {stride} "
                  f"pad: {pad} }}")
        return self.layer("Pooling", name, bottom, params=params)

    def global_average(self, name, bottom):
        return self.layer(
            "Pooling", name, bottom, params="pooling_param { pool: AVE global_pooling: true }"
        )

    def lrn(self, name, bottom):
        return self.layer(
            "LRN", name, bottom, params="lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
        )

    def fc(self, name, bottom, outputs):
        params = f"inner_product_param {{ num_output: {outputs} }}"
        return self.layer("InnerProduct", name, bottom, params=params)

    def dropout(self, blob):
        return self.layer(
            "Dropout", "drop_" + blob, blob, top=blob, params="dropout_param { dropout_ratio: 0.5 }"
        )

    def batch_norm(self, blob, in_place=True, top=None):
        top = blob if in_place else top
        self.layer("BatchNorm", "bn_" + top, blob, top=top,
                   params="batch_norm_param { use_global_stats: true }")
        return self.layer("Scale", "scale_" + top, top, top=top,
                          params="scale_param { bias_term: true }")

    def softmax(self, blob, name="prob"):
        return self.layer("Softmax", name, blob)

    def text(self):
        return "\n".join(self.lines) + "\n"


def caffenet(classes=1000):
    """CaffeNet: Krizhevsky et al. 2012 with pooling before normalisation."""
    b = Builder("CaffeNet", (1, 3, 227, 227))
    x = b.conv_relu("conv1", "data", 96, 11, stride=4)
    x = b.lrn("norm1", b.pool("pool1", x, 3, 2))
    x = b.conv_relu("conv2", x, 256, 5, pad=2, group=2)
    x = b.lrn("norm2", b.pool("pool2", x, 3, 2))
    x = b.conv_relu("conv3", x, 384, 3, pad=1)
    x = b.conv_relu("conv4", x, 384, 3, pad=1, group=2)
    x = b.conv_relu("conv5", x, 256, 3, pad=1, group=2)
    x = b.pool("pool5", x, 3, 2)
    for name in ("fc6", "fc7"):
        x = b.dropout(b.relu(b.fc(name, x, 4096)))
    b.softmax(b.fc("fc8", x, classes))
    return b.text()


def googlenet(classes=1000):
    """GoogLeNet: Szegedy et al. 2014, without the auxiliary heads."""
    widths = {
        "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64),
        "4a": (192, 96, 208, 16, 48, 64), "4b": (160, 112, 224, 24, 64, 64),
        "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128),
        "5b": (384, 192, 384, 48, 128, 128),
    }
    b = Builder("GoogLeNet", (1, 3, 224, 224))
    x = b.conv_relu("conv1/7x7_s2", "data", 64, 7, stride=2, pad=3)
    x = b.lrn("pool1/norm1", b.pool("pool1/3x3_s2", x, 3, 2))
    x = b.conv_relu("conv2/3x3_reduce", x, 64, 1)
    x = b.conv_relu("conv2/3x3", x, 192, 3, pad=1)
    x = b.pool("pool2/3x3_s2", b.lrn("conv2/norm2", x), 3, 2)
    for block, (one, r3, three, r5, five, pooled) in sorted(widths.items()):
        p = f"inception_{block}/"
        branches = [
            b.conv_relu(p + "1x1", x, one, 1),
            b.conv_relu(p + "3x3", b.conv_relu(p + "3x3_reduce", x, r3, 1), three, 3, pad=1),
            b.conv_relu(p + "5x5", b.conv_relu(p + "5x5_reduce", x, r5, 1), five, 5, pad=2),
            b.conv_relu(p + "pool_proj", b.pool(p + "pool", x, 3, 1, 1), pooled, 1),
        ]
        x = b.layer("Concat", p + "output", branches)
        if block in ("3b", "4e"):
            x = b.pool(f"pool{int(block[0])}/3x3_s2", x, 3, 2)
    x = b.dropout(b.pool("pool5/7x7_s1", x, 7, 1, method="AVE"))
    b.softmax(b.fc("loss3/classifier", x, classes))
    return b.text()


def vgg(depth=16, classes=1000, form="V1"):
    """VGG-16 and VGG-19: Simonyan and Zisserman 2014."""
    repeats = {16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}[depth]
    b = Builder(f"VGG-{depth}", (1, 3, 224, 224), form)
    x = "data"
    for stage, (count, width) in enumerate(zip(repeats, (64, 128, 256, 512, 512)), 1):
        for index in range(1, count + 1):
            x = b.conv_relu(f"conv{stage}_{index}", x, width, 3, pad=1)
        x = b.pool(f"pool{stage}", x, 2, 2)
    for name in ("fc6", "fc7"):
        x = b.dropout(b.relu(b.fc(name, x, 4096)))
    b.softmax(b.fc("fc8", x, classes))
    return b.text()


def resnet(depth=50, classes=1000):
    """ResNet-18 and ResNet-50: He et al. 2015."""
    repeats = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
    b = Builder(f"ResNet-{depth}", (1, 3, 224, 224))
    x = b.relu(b.batch_norm(b.conv("conv1", "data", 64, 7, 2, 3, bias=depth == 50)))
    x = b.pool("pool1", x, 3, 2)
    for stage, count in enumerate(repeats):
        for index in range(count):
            name = "res{}{}".format(stage + 2, "abcdef"[index])
            stride = 2 if stage and not index else 1
            x = _residual(b, name, x, 64 << stage, stride, depth == 50, not index)
    b.softmax(b.fc(f"fc{classes}", b.pool("pool5", x, 7, 1, method="AVE"), classes))
    return b.text()


def _residual(b, name, x, width, stride, bottleneck, first):
    out = width * 4 if bottleneck else width
    shortcut = x
    if first and (stride > 1 or bottleneck):
        shortcut = b.batch_norm(b.conv(name + "_branch1", x, out, 1, stride, bias=False))
    steps = [(width, 1, stride, 0), (width, 3, 1, 1), (out, 1, 1, 0)]
    if not bottleneck:
        steps = [(width, 3, stride, 1), (width, 3, 1, 1)]
    for step, (outputs, kernel, hop, pad) in enumerate(steps):
        blob = name + "_branch2" + "abc"[step]
        x = b.batch_norm(b.conv(blob, x, outputs, kernel, hop, pad, bias=False))
        if step < len(steps) - 1:
            x = b.relu(x)
    return b.relu(b.layer("Eltwise", name, [shortcut, x]))


def densenet(classes=10, growth=12, blocks=(3, 3, 3), size=32):
    """A small DenseNet: Huang et al. 2016; normalisation and ReLU before each convolution."""
    b = Builder("DenseNet", (1, 3, size, size))
    x, width = b.conv("conv1", "data", 16, 3, pad=1, bias=False), 16
    for stage, count in enumerate(blocks, 1):
        for index in range(1, count + 1):
            name = f"conv{stage}_{index}"
            y = b.relu(b.batch_norm(x, in_place=False, top=name + "/bn"))
            y = b.conv(name, y, growth, 3, pad=1, bias=False)
            x = b.layer("Concat", f"concat_{stage}_{index}", [x, y])
            width += growth
        name = f"conv{stage}_blk"
        x = b.relu(b.batch_norm(x, in_place=False, top=name + "/bn"))
        if stage < len(blocks):
            x = b.pool(f"pool{stage}", b.conv(name, x, width, 1), 2, 2, method="AVE")
    b.softmax(b.fc("fc", b.global_average("pool_last", x), classes))
    return b.text()


def lenet(classes=10):
    """LeNet on grey images: LeCun et al. 1998, in the shape Caffe's MNIST example gave it."""
    b = Builder("LeNet", (1, 1, 28, 28))
    x = b.pool("pool1", b.conv("conv1", "data", 20, 5), 2, 2)
    x = b.pool("pool2", b.conv("conv2", x, 50, 5), 2, 2)
    b.softmax(b.fc("ip2", b.relu(b.fc("ip1", x, 500)), classes))
    return b.text()


def nin(classes=1000):
    """Network in Network: Lin et al. 2013; the score is a pooled map per class."""
    b = Builder("NIN", (1, 3, 224, 224))
    x = "data"
    stages = [(96, 11, 4, 0), (256, 5, 1, 2), (384, 3, 1, 1), (1024, 3, 1, 1)]
    for stage, (width, kernel, stride, pad) in enumerate(stages, 1):
        x = b.conv_relu(f"conv{stage}", x, width, kernel, stride, pad)
        x = b.conv_relu(f"cccp{stage * 2 - 1}", x, width, 1)
        x = b.conv_relu(f"cccp{stage * 2}", x, classes if stage == 4 else width, 1)
        if stage < 4:
            x = b.pool(f"pool{stage}", x, 3, 2)
    b.softmax(b.global_average("pool4", x))
    return b.text()


def squeezenet(classes=1000):
    """SqueezeNet v1.1: Iandola et al. 2016, with the poolings earlier than in v1.0."""
    b = Builder("SqueezeNet v1.1", (1, 3, 227, 227))
    x = b.pool("pool1", b.conv_relu("conv1", "data", 64, 3, stride=2), 3, 2)
    widths = [(16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256)]
    for index, (squeeze, expand) in enumerate(widths, 2):
        name = f"fire{index}/"
        x = b.conv_relu(name + "squeeze1x1", x, squeeze, 1)
        x = b.layer("Concat", name + "concat", [
            b.conv_relu(name + "expand1x1", x, expand, 1),
            b.conv_relu(name + "expand3x3", x, expand, 3, pad=1)])
        if index in (3, 5):
            x = b.pool(f"pool{index}", x, 3, 2)
    x = b.conv_relu("conv10", b.dropout(x), classes, 1)
    b.softmax(b.global_average("pool10", x))
    return b.text()


def pooled_linear(channels=6, size=9, classes=4):
    """Convolution, in-place ReLU, average pooling, one InnerProduct: Grad-CAM equals CAM here."""
    b = Builder("PooledLinear", (1, 2, size, size))
    x = b.conv_relu("conv", "data", channels, 3, pad=1)
    b.softmax(b.fc("score", b.global_average("pool", x), classes))
    return b.text()


def random_weights(text, seed=0):
    """Weights that keep activations of a sensible size, for every layer that wants some.

    Returns
    -------
    dict
        Layer name to list of float32 arrays.
    """
    net = Net.parse(Document.parse(text)).at("TEST")
    random = np.random.RandomState(seed)
    filled = {}
    for name, blobs in shapes.parameters(net, shapes.infer(net)).items():
        kind = net.layer(name).type
        filled[name] = [_values(kind, index, shape, random) for index, shape in enumerate(blobs)]
    return filled


def _values(kind, index, shape, random):
    if kind == "BatchNorm":
        if index == 2:
            return np.array([0.5], np.float32)
        spread = random.uniform(0.05, 0.2, shape) if index == 0 else random.uniform(0.3, 0.7, shape)
        return spread.astype(np.float32)
    if kind == "Scale":
        low, high = ((0.5, 1.0), (-0.1, 0.3))[index]
        return random.uniform(low, high, shape).astype(np.float32)
    if index:
        return random.uniform(-0.1, 0.2, shape).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    values = np.empty(int(np.prod(shape)), np.float32)
    # Part by part: VGG-16's largest blob would take a gigabyte of float64 besides.
    for begin in range(0, len(values), PART):
        part = values[begin:begin + PART]
        drawn = (random.standard_normal(len(part)) if fan_in < 20000
                 else random.uniform(-1.7, 1.7, len(part)))
        part[...] = drawn * np.sqrt(2.0 / fan_in)
    return values.reshape(shape)


def write_model(folder, text, seed=0):
    """Write deploy.prototxt and weights.caffemodel; gives both paths as str."""
    from prototxt_tools import weights

    prototxt, caffemodel = folder / "deploy.prototxt", folder / "weights.caffemodel"
    prototxt.write_text(text)
    weights.save(str(caffemodel), random_weights(text, seed))
    return str(prototxt), str(caffemodel)


def random_input(shape, seed=2):
    """An input blob of pixel-like size around zero."""
    return np.random.RandomState(seed).uniform(-60, 60, shape).astype(np.float32)


# Kernels and matrices of one shape either way round, which explanations use both ways.
SQUARE = """
input: "data" input_shape { dim: 1 dim: 3 dim: 9 dim: 9 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param { num_output: 16 kernel_size: 2 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "same" type: "Convolution" bottom: "conv" top: "same"
        convolution_param { num_output: 16 kernel_size: 1 } }
layer { name: "relu_same" type: "ReLU" bottom: "same" top: "same" }
layer { name: "grouped" type: "Convolution" bottom: "same" top: "grouped"
        convolution_param { num_output: 16 kernel_size: 3 pad: 1 group: 2 } }
layer { name: "relu_grouped" type: "ReLU" bottom: "grouped" top: "grouped" }
layer { name: "larger" type: "Deconvolution" bottom: "grouped" top: "larger"
        convolution_param { num_output: 16 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "relu_larger" type: "ReLU" bottom: "larger" top: "larger" }
layer { name: "fc1" type: "InnerProduct" bottom: "larger" top: "fc1"
        inner_product_param { num_output: 64 } }
layer { name: "relu1" type: "ReLU" bottom: "fc1" top: "fc1" }
layer { name: "fc2" type: "InnerProduct" bottom: "fc1" top: "fc2"
        inner_product_param { num_output: 64 } }
layer { name: "relu2" type: "ReLU" bottom: "fc2" top: "fc2" }
layer { name: "fc3" type: "InnerProduct" bottom: "fc2" top: "fc3"
        inner_product_param { num_output: 10 } }
"""
