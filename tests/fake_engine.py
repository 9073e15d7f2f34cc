"""A model small enough to work out by hand, and an engine that does so."""

import numpy as np

from prototxt_tools.errors import InputError

# What each of the three classes sees in the first (blue) and the second (green) channel.
WEIGHTS = np.float32([[1, 0], [0, 1], [-1, -1]])

DEPLOY = """
name: "colours"
layer { name: "data" type: "Input" top: "data"
        input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
layer { name: "shrink" type: "Convolution" bottom: "data" top: "small"
        convolution_param { num_output: 2 kernel_size: 2 stride: 2 } }
layer { name: "shrink more" type: "Convolution" bottom: "small" top: "smaller"
        convolution_param { num_output: 2 kernel_size: 2 stride: 2 } }
layer { name: "pool" type: "Pooling" bottom: "smaller" top: "pool"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "score" type: "InnerProduct" bottom: "pool" top: "score"
        inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "score" top: "prob" }
"""


def write_model(folder):
    """A model folder whose net is ``DEPLOY``; blue, green and red pictures are its classes."""
    folder.mkdir()
    (folder / "deploy.prototxt").write_text(DEPLOY)
    (folder / "colours.caffemodel").write_bytes(b"")
    (folder / "labels.txt").write_text("blue, azure\ngreen\nneither\n")
    (folder / "readme.md").write_text("---\ngradcam:\n  inputs: {mean: none, scale: 0.01}\n---\n")
    return folder


class FakeEngine:
    """``small`` and ``smaller`` are the first two channels at 4 x 4 and 2 x 2."""

    description = {"engine": "fake", "version": "1", "device": "cpu"}

    def __init__(self):
        self.weights = WEIGHTS
        self.batches = []
        self.rules = []
        self.seeds = []
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.closed = True

    def settle(self, rows):
        pass

    def begin_maps(self, inputs, request):
        return None

    def expect(self, array):
        pass

    def expect_pictures(self, preprocessing):
        self.preprocessing = preprocessing

    def read_pictures(self, places, sizes):
        from caffe_gradcam.engines.on_device import OnDevice
        from caffe_gradcam.model.images import decode
        from caffe_gradcam.model.preprocess import to_blobs

        blob = np.array(places)
        for place, values, size in zip(places, blob, sizes):
            if size:
                file = place.reshape(-1).view(np.uint8)[:size].tobytes()
                values[...] = to_blobs(decode(file, "a picture"), self.preprocessing)[0][0]
        return OnDevice(blob)

    def forward(self, inputs, keep):
        data = inputs["data"][:, :2]
        count = len(data)
        self.batches.append(count)
        if data.max() > 2.5:
            raise InputError("too bright for the engine")
        blobs = {
            "small": data.reshape(count, 2, 4, 2, 4, 2).mean(axis=(3, 5)),
            "smaller": data.reshape(count, 2, 2, 4, 2, 4).mean(axis=(3, 5)),
            "score": np.dot(data.mean(axis=(2, 3)), self.weights.T),
        }
        return {name: blobs[name] for name in keep}

    def forward_from(self, blob, value, keep, rows=None):
        return {"score": np.dot(value[:, :2].mean(axis=(2, 3)), self.weights.T)}

    def mean_gradients(self, score, top_diff, targets):
        return {}

    def replace_weights(self, weights):
        self.weights = weights["score"][0]

    def backward(self, score, top_diff, targets, rule="gradient"):
        self.seeds.append(top_diff)
        self.rules.append(rule)
        weights = np.dot(top_diff, self.weights)[:, :, np.newaxis, np.newaxis]
        sizes = {"small": 4, "smaller": 2}
        return {
            name: weights * np.ones((sizes[name],) * 2, np.float32) / sizes[name] ** 2
            for name in targets
        }
