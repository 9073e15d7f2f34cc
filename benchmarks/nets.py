"""The nets that are measured: definition, score and target blob, size of the input."""

import definitions
from definitions import Builder

from prototxt_tools import shapes
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document


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


# name: (text, score, target)
NETS = {
    "CaffeNet": (definitions.caffenet(), "fc8", "conv5"),
    "GoogLeNet": (definitions.googlenet(), "loss3/classifier", "inception_5b/output"),
    "SqueezeNet v1.1": (squeezenet(), "pool10", "fire9/concat"),
    "ResNet-50": (definitions.resnet(50), "fc1000", "res5c"),
    "VGG-16": (definitions.vgg(16, form="V2"), "fc8", "conv5_3"),
}


def operations(text):
    """Multiplications and additions of one image in convolutions and inner products."""
    net = Net.parse(Document.parse(text)).at("TEST")
    blobs = shapes.infer(net)
    total = 0
    for name, parameters in shapes.parameters(net, blobs).items():
        layer = net.layer(name)
        if layer.type in ("Convolution", "InnerProduct"):
            each = _product(parameters[0][1:])
            total += 2 * each * _product(blobs[layer.tops[0]][1:])
    return total


def _product(sizes):
    product = 1
    for size in sizes:
        product *= size
    return product
