"""What the tests of exported graphs share."""

import numpy as np

from caffe_gradcam.engines.running import Running
from prototxt_tools import shapes
from prototxt_tools.net.net import Net

TORCH = Running(engine="torch")


def random_blobs(text, seed=0):
    """Random learned blobs for a net of any layers, with variances above 0."""
    net, rng = Net.parse(text).at("TEST"), np.random.RandomState(seed)
    blobs = {}
    for name, expected in shapes.parameters(net, shapes.infer(net)).items():
        arrays = [np.asarray(rng.randn(*shape) * 0.5, np.float32) for shape in expected]
        kind = net.layer(name).type
        if kind == "BatchNorm":
            arrays[1], arrays[2] = abs(arrays[1]) + 0.3, np.array([1.7], np.float32)
        if kind == "BN" and len(arrays) == 4:
            arrays[3] = abs(arrays[3]) + 0.3
        blobs[name] = arrays
    return blobs or {"none": []}
