"""The nets that are measured: definition, score and target blob, size of the input."""

import definitions

from prototxt_tools import shapes
from prototxt_tools.net.net import Net
from prototxt_tools.text.document import Document

# name: (text, score, target)
NETS = {
    "CaffeNet": (definitions.caffenet(), "fc8", "conv5"),
    "GoogLeNet": (definitions.googlenet(), "loss3/classifier", "inception_5b/output"),
    "SqueezeNet v1.1": (definitions.squeezenet(), "pool10", "fire9/concat"),
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
