"""Nets for tests of the methods, images for them, and their maps."""

import cv2
import numpy as np
from definitions import Builder, write_model

from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.explainer import Explainer
from caffe_gradcam.explaining.settings import Explaining
from caffe_gradcam.model.model import LoadedModel

# Noisy copies, masks and steps: enough to see a difference.
SAMPLES = 3


def traps():
    """In-place layers on every blob, LRN, two branches, BatchNorm and Scale; a pooled head."""
    b = Builder("traps", (1, 3, 16, 20))
    x = b.lrn("norm1", b.relu(b.conv("conv1", "data", 6, 3, pad=1), "relu of the first"))
    left = b.relu(b.batch_norm(b.conv("left", x, 4, 3, pad=1, group=2)), "on the left")
    right = b.pool("right", b.conv_relu("to_right", x, 5, 1), 3, 1, 1)
    x = b.pool("join_pool", b.layer("Concat", "join", [left, right]), 2, 2)
    x = b.layer("ReLU", "leaky", x, top=x, params="relu_param { negative_slope: 0.1 }")
    b.softmax(b.dropout(b.fc("score", b.global_average("mean", x), 5)))
    return b.text()


def rectified():
    """Piecewise linear: convolution, BatchNorm, Scale and ReLU in one blob; no bias in the end."""
    b = Builder("rectified", (1, 3, 16, 20))
    x = b.pool("pool1", b.relu(b.batch_norm(b.conv("conv1", "data", 6, 3, pad=1))), 2, 2)
    x = b.relu(b.conv("conv2", x, 8, 3, pad=1), "another name")
    x = b.relu(b.batch_norm(b.conv("conv3", x, 8, 3, pad=1, bias=False), False, "norm3"))
    x = b.layer("Eltwise", "sum", [x, "conv2"])
    b.layer("InnerProduct", "score", x,
            params="inner_product_param { num_output: 4 bias_term: false }")
    return b.text()


def unpooled(size=(16, 20), outputs=4):
    """Two convolutions and two InnerProducts: the gradients differ from cell to cell."""
    b = Builder("unpooled", (1, 3) + size)
    x = b.conv_relu("conv2", b.pool("pool1", b.conv_relu("conv1", "data", 6, 3, pad=1), 2, 2), 8,
                    3, pad=1)
    b.fc("score", b.relu(b.fc("hidden", x, 12)), outputs)
    return b.text()


def pooled_scores():
    """As SqueezeNet and NIN end: a map for each class, its ReLU, the average."""
    b = Builder("pooled scores", (1, 3, 16, 20))
    x = b.conv_relu("conv1", "data", 6, 3, pad=1)
    b.softmax(b.global_average("pool10", b.conv_relu("conv10", b.dropout(x), 5, 1)))
    return b.text()


def pooled_convolution():
    """As the digits end: the average, then a 1 x 1 convolution."""
    b = Builder("pooled convolution", (1, 3, 16, 20))
    x = b.conv_relu("conv1", "data", 6, 3, pad=1)
    b.softmax(b.conv("score", b.global_average("mean", x), 5, 1))
    return b.text()


def load(folder, text, seed=0, **overrides):
    """A Model with random weights; pixels go from -1 to 1 by default."""
    folder.mkdir(exist_ok=True)
    path, _ = write_model(folder, text, seed)
    fields = dict({"mean": 127.5, "scale": 1 / 127.5}, **overrides)
    return LoadedModel.load(path, **fields)


def photographs(count=3, size=(16, 20)):
    """Soft blots of colour, others on each."""
    random = np.random.RandomState(3)
    images = [cv2.resize(random.randint(0, 256, (4, 5, 3)).astype(np.float32), size[::-1],
                         interpolation=cv2.INTER_CUBIC) for _ in range(count)]
    return [np.uint8(np.clip(image, 0, 255)) for image in images]


def open_explainer(model, kind, methods=("grad-cam",), **options):
    """An Explainer on an engine of a kind."""
    return Explainer.open(model, Explaining(tuple(methods), **options), Running(kind))


def explain(model, kind, images, methods=("grad-cam",), questions=(0,), **options):
    """For each image {(method, question, layer): Explanation}."""
    options.setdefault("samples", SAMPLES)
    with open_explainer(model, kind, methods, **options) as explainer:
        return named(explainer.explain(images, questions))


def results(outcomes):
    return [outcome.unwrap() for outcome in outcomes]


def named(outcomes):
    return [{(explanation.method, explanation.question, explanation.layer): explanation
             for explanation in result.explanations} for result in results(outcomes)]


def difference(found, expected):
    """The largest difference of two maps over the largest value."""
    return np.abs(found - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny)
