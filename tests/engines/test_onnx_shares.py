"""A ReLU below a global mean, in the graphs that lead back from a score."""

import definitions
import numpy as np
import pytest
from opened import open_net

from caffe_gradcam.engines.running import NetToRun, Running
from caffe_gradcam.engines.subnet import Subnet

pytest.importorskip("onnx", reason="onnx is not installed here")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here")

IMAGES = definitions.random_input((3, 2, 9, 9))
HEAD = """
input: "data" input_shape {{ dim: 1 dim: 2 dim: 9 dim: 9 }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv"
        convolution_param {{ num_output: 4 kernel_size: 2 }} }}
layer {{ name: "score" type: "Convolution" bottom: "conv" top: "score"
        convolution_param {{ num_output: 5 kernel_size: 1 }} }}
layer {{ name: "relu" type: "ReLU" bottom: "score" top: "score" {relu} }}
layer {{ name: "pool" type: "Pooling" bottom: "score" top: "pool"
        pooling_param {{ pool: AVE {windows} }} }}
"""
GLOBAL = HEAD.format(relu="", windows="global_pooling: true")


@pytest.fixture
def graphs(tmp_path):
    """A function that gives the graphs of a net, which are kept on disk from call to call."""
    from caffe_gradcam.engines.onnx.graphs import Graphs

    def of(text, score="pool"):
        weights = definitions.write_model(tmp_path, text)[1]
        net = NetToRun(text, weights, (score,), ("conv",))
        return Graphs(net, Running(), Subnet(net, Running()), {"data": (1, 2, 9, 9)})
    return of


def test_gradients_read_what_the_relu_gives_so_that_libraries_join_it_to_its_convolution(graphs):
    assert graphs(GLOBAL).back("pool").read == ["score"]


def test_mean_gradients_read_one_number_for_each_channel(graphs):
    from caffe_gradcam.engines.onnx.session import RuntimeSession

    for _ in range(2):  # The second time, the way back comes from disk.
        kept = graphs(GLOBAL)
        share, = kept.means("pool").read
        graph = RuntimeSession(kept.forward(["score", share]))
        outputs = graph.run({"data": IMAGES}, ["score", share])
        expected = (outputs["score"] > 0).mean(axis=(2, 3))
        assert 0 < expected.max() and expected.min() < 1
        assert np.allclose(outputs[share], expected, atol=1e-6)


@pytest.mark.parametrize("relu, windows", [
    ("", "global_pooling: true"),
    ("relu_param { negative_slope: 0.1 }", "global_pooling: true"),
    ("", "kernel_size: 7 stride: 5"),
    ("", "kernel_size: 8 pad: 1 stride: 9"),
    ("", "kernel_size: 5 stride: 3")])
def test_mean_gradients_are_the_means_of_gradients(relu, windows, tmp_path):
    text = HEAD.format(relu=relu, windows=windows)
    weights = definitions.write_model(tmp_path, text)[1]
    with open_net("onnx", text, weights, ["pool"], ["conv"]) as engine:
        scores = engine.forward({"data": IMAGES}, ["pool"])["pool"]
        seed = np.random.RandomState(4).randn(*scores.shape).astype(np.float32)
        means = engine.mean_gradients("pool", seed, ["conv"])["conv"]
        gradients = engine.backward("pool", seed, ["conv"])["conv"]
    assert np.allclose(means[:, :, 0, 0], gradients.mean(axis=(2, 3)), rtol=1e-5, atol=1e-7)


def test_a_score_that_the_mean_lies_behind_is_not_taken_for_the_mean(graphs):
    assert graphs(GLOBAL, "score").means("score").read == ["score"]


def test_only_what_leads_to_its_outputs_is_in_a_graph(graphs):
    import onnx

    kept = graphs(GLOBAL)
    kept.means("pool")
    model = onnx.load_from_string(kept.forward(["score"]))
    assert [node.op_type for node in model.graph.node] == ["Conv", "Conv", "Relu"]
