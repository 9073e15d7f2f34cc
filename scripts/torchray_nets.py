#!/usr/bin/env python3
"""scripts/torchray_nets.py FILE.pth.tar FOLDER
Makes a model folder of one of TorchRay's four nets, VGG-16 and ResNet-50 for VOC 2007 and for
COCO 2014, which its authors converted from Caffe: FOLDER/deploy.prototxt, net.caffemodel and
readme.md. The net is fully convolutional and takes images of any size, as in their benchmark.

FILE is read as tensors alone (weights_only): no code in it runs. Needs torch.
"""

import argparse
import os
import re
import sys

import numpy as np

from prototxt_tools import weights
from prototxt_tools.errors import InputError
from prototxt_tools.files import write_bytes

# Layers of VGG-16 by their numbers in torchvision's ``features``; a pooling layer follows each row.
VGG = [[0, 2], [5, 7], [10, 12, 14], [17, 19, 21], [24, 26, 28]]
HEADER = """name: "{}"
layer {{ name: "data" type: "Input" top: "data"
        input_param {{ shape {{ dim: 1 dim: 3 dim: 224 dim: 224 }} }} }}
"""
CONVOLUTION = """layer {{ name: "{0}" type: "Convolution" bottom: "{1}" top: "{0}"
        convolution_param {{ num_output: {2} kernel_size: {3} stride: {4} pad: {5}
                             bias_term: {6} }} }}
"""
RELU = 'layer {{ name: "{0}_relu" type: "ReLU" bottom: "{0}" top: "{0}" }}\n'
POOLING = """layer {{ name: "{0}" type: "Pooling" bottom: "{1}" top: "{0}"
        pooling_param {{ pool: {2} kernel_size: {3} stride: {4} }} }}
"""
BATCH_NORM = """layer {{ name: "{0}_bn" type: "BatchNorm" bottom: "{0}" top: "{0}"
        batch_norm_param {{ use_global_stats: true eps: 1e-05 }} }}
layer {{ name: "{0}_scale" type: "Scale" bottom: "{0}" top: "{0}"
        scale_param {{ bias_term: true }} }}
"""
SUM = 'layer {{ name: "{0}" type: "Eltwise" bottom: "{1}" bottom: "{2}" top: "{0}" }}\n'
README = """---
name: {name}
caffemodel: net.caffemodel
gradcam:
  inputs: {{channel_order: BGR, mean: [103.939, 116.779, 123.68], resize: 224, crop: none}}
  score: {score}
  layer: {layer}
---
{name}, made of {file} by scripts/torchray_nets.py.
"""


class Net:
    """Text and weights of a net that is being written.

    Parameters
    ----------
    arrays : dict
        Name -> array, as in the file.
    """

    def __init__(self, arrays, name):
        self.arrays, self.parts, self.learned = arrays, [HEADER.format(name)], {}

    def add(self, template, *values):
        self.parts.append(template.format(*values))

    def convolve(self, layer, bottom, source, stride=1, pad=0):
        """A convolution with the file's weights; one with fewer axes has 1 x 1 windows."""
        kernel = self.take(source + ".weight")
        if kernel.ndim == 2:
            kernel = kernel[:, :, np.newaxis, np.newaxis]
        bias = self.arrays.get(source + ".bias")
        self.add(CONVOLUTION, layer, bottom, kernel.shape[0], kernel.shape[2], stride, pad,
                 "false" if bias is None else "true")
        self.learned[layer] = [kernel] + ([] if bias is None else [bias])
        return layer

    def normalise(self, layer, source):
        """BatchNorm and Scale in place."""
        self.add(BATCH_NORM, layer)
        self.learned[layer + "_bn"] = [self.take(source + ".running_mean"),
                                       self.take(source + ".running_var"), np.float32([1])]
        self.learned[layer + "_scale"] = [self.take(source + ".weight"),
                                          self.take(source + ".bias")]

    def take(self, name):
        if name not in self.arrays:
            raise InputError(f"the file holds no {name}, so it is none of TorchRay's four nets")
        return self.arrays[name]


def vgg(arrays):
    """VGG-16: the score blob is fc8, the last convolution conv5_3."""
    net, bottom = Net(arrays, "TorchRay VGG-16"), "data"
    for block, numbers in enumerate(VGG, 1):
        for index, number in enumerate(numbers, 1):
            bottom = net.convolve(f"conv{block}_{index}", bottom, f"features.{number}", pad=1)
            net.add(RELU, bottom)
        net.add(POOLING, f"pool{block}", bottom, "MAX", 2, 2)
        bottom = f"pool{block}"
    first = net.take("classifier.0.weight")
    if first.ndim == 2:  # Its window is as large as pool5 of an image of 224 x 224.
        channels = net.learned["conv5_3"][0].shape[0]
        side = int(round((first.shape[1] / channels) ** 0.5))
        net.arrays["classifier.0.weight"] = first.reshape(len(first), channels, side, side)
    for index, (layer, source) in enumerate([("fc6", 0), ("fc7", 2), ("fc8", 4)]):
        bottom = net.convolve(layer, bottom, f"classifier.{source}")
        if index < 2:
            net.add(RELU, bottom)
    return net, "fc8", "conv5_3"


def resnet(arrays):
    """ResNet-50: the score blob is fc, the last sum of blocks layer4_2."""
    arrays = {re.sub(r"(bn\d|downsample\.\d)\.[01]\.", r"\1.", name): array
              for name, array in arrays.items()}
    net = Net(arrays, "TorchRay ResNet-50")
    net.normalise(net.convolve("conv1", "data", "conv1", 2, 3), "bn1")
    net.add(RELU, "conv1")
    net.add(POOLING, "pool1", "conv1", "MAX", 3, 2)
    bottom = "pool1"
    for stage in range(1, 5):
        blocks = {int(name.split(".")[1]) for name in arrays if name.startswith(f"layer{stage}.")}
        for block in range(len(blocks)):
            bottom = _bottleneck(net, bottom, f"layer{stage}.{block}",
                                 2 if stage > 1 and block == 0 else 1)
    net.add(POOLING, "pool5", bottom, "AVE", 7, 1)
    net.convolve("fc", "pool5", "fc")
    return net, "fc", bottom


def _bottleneck(net, bottom, source, stride):
    """Three convolutions beside a shortcut; in Caffe's nets the first one strides."""
    name, shortcut = source.replace(".", "_"), bottom
    if source + ".downsample.0.weight" in net.arrays:
        shortcut = net.convolve(name + "_shortcut", bottom, source + ".downsample.0", stride)
        net.normalise(shortcut, source + ".downsample.1")
    for index, pad in ((1, 0), (2, 1), (3, 0)):
        bottom = net.convolve(f"{name}_conv{index}", bottom, f"{source}.conv{index}",
                              stride if index == 1 else 1, pad)
        net.normalise(bottom, f"{source}.bn{index}")
        if index < 3:
            net.add(RELU, bottom)
    net.add(SUM, name, shortcut, bottom)
    net.add(RELU, name)
    return name


def read(path):
    """The arrays of a file, by name; raises InputError for one that holds anything else."""
    import torch

    try:
        # Nothing in the file is called: only tensors, numbers and texts are made.
        values = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, by what is wrong with the file
        summary = str(error).strip().split("\n")[0][:200]
        raise InputError(f"{path}: cannot be read as tensors alone: {summary}", path) from None
    if not isinstance(values, dict) or not all(
            isinstance(name, str) and isinstance(value, torch.Tensor)
            for name, value in values.items()):
        raise InputError(f"{path}: does not hold tensors by name", path)
    return {name: np.ascontiguousarray(value.numpy(), np.float32)
            for name, value in values.items()}


def convert(path, folder):
    """Write the model folder of a file."""
    arrays = read(path)
    net, score, layer = (vgg if "features.0.weight" in arrays else resnet)(arrays)
    os.makedirs(folder, exist_ok=True)
    text = "".join(net.parts)
    write_bytes(os.path.join(folder, "deploy.prototxt"), text.encode("ascii"))
    weights.save(os.path.join(folder, "net.caffemodel"), net.learned)
    classes = net.learned[score][0].shape[0]
    about = README.format(name=f"{net.parts[0].split(chr(34))[1]}, {classes} classes", score=score,
                          layer=layer, file=os.path.basename(path))
    write_bytes(os.path.join(folder, "readme.md"), about.encode("utf-8", "replace"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[1],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="FILE.pth.tar")
    parser.add_argument("folder", metavar="FOLDER")
    options = parser.parse_args()
    try:
        convert(options.file, options.folder)
    except InputError as error:
        sys.exit(f"torchray_nets.py: {error}")


if __name__ == "__main__":
    main()
