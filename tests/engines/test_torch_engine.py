"""What is the torch engine's own: no autograd below the targets, no blob kept too long."""

import weakref

import numpy as np
import pytest
from nets import AROUND, BRANCHES

from caffe_gradcam.engines import EngineError, open_engine

torch = pytest.importorskip("torch")

from caffe_gradcam.engines.torch import LAYERS, layer  # noqa: E402


@pytest.fixture
def watched():
    """What each layer of type Watch sees: whether its bottom needs a gradient, and for which of
    the layers before it the bottom is still in memory."""
    seen, bottoms_of = {}, {}

    @layer("Watch")
    def watch(message, bottoms, weights):
        alive = [name for name, bottom in bottoms_of.items() if bottom() is not None]
        seen[message.name] = bottoms[0].requires_grad, alive
        bottoms_of[message.name] = weakref.ref(bottoms[0])
        return [bottoms[0] * 1]

    yield seen
    del LAYERS["Watch"]


def chain(*names):
    """Layers of type Watch, one on the other, from conv to it."""
    blobs = ["conv"] + list(names[:-1]) + ["it"]
    return "".join('layer {{ name: "{}" type: "Watch" bottom: "{}" top: "{}" }}'.format(
        name, below, above) for name, below, above in zip(names, blobs, blobs[1:]))


@pytest.fixture
def path(write_weights):
    return write_weights(AROUND.format(
        'layer { name: "it" type: "ReLU" bottom: "conv" top: "it" }'))


def test_autograd_begins_at_the_target(watched, path):
    text = AROUND.format(chain("a", "b", "c"))
    with open_engine("torch", text, path, ["score"], ["b"]) as engine:
        engine.forward({"data": np.ones((1, 2, 6, 6))}, [])
    assert [needs for needs, _ in watched.values()] == [False, False, True]


def test_a_blob_goes_when_nothing_more_reads_it_unless_it_is_kept(watched, path):
    text = AROUND.format(chain("a", "b", "c", "d"))
    with open_engine("torch", text, path, ["score"], ["it"]) as engine:
        # Blob a is the bottom of layer b.
        engine.forward({"data": np.ones((1, 2, 6, 6))}, ["a"])
    assert [alive for _, alive in watched.values()] == [[], [], ["b"], ["b"]]


def test_a_gpu_that_is_not_there_is_said(write_weights):
    with pytest.raises(EngineError, match="CUDA devices here, so there is no cuda:99"):
        open_engine("torch", BRANCHES, write_weights(BRANCHES), ["score"], ["join"],
                    device="cuda:99")
