"""Every layer type with extreme values: it is built and run, or refused, and says its shape."""

import definitions
import numpy as np
import pytest
from harness import fuzzed, read
from hypothesis import given
from hypothesis import strategies as st
from layer_cases import CASES, OTHER_CASES, fill, net_text
from layer_variations import EXTREME, fields_of, values_of, varied

from caffe_gradcam.engines import NetToRun, Running, open_engine
from prototxt_tools import shapes, weights
from prototxt_tools.net.net import Net
from prototxt_tools.reports import cost, receptive

ALL_CASES = dict(CASES, **OTHER_CASES)
# How many numbers a layer may hold to be run here.
MOST_NUMBERS = 1 << 20
# Their number of rows depends on the values.
OPEN_ENDED = ("DetectionOutput", "YoloDetectionOutput", "Yolov3DetectionOutput", "Proposal")


@st.composite
def changed_cases(draw):
    """A case of a layer with one or two fields of its parameters set to other values."""
    kind, text, bottoms, tops = ALL_CASES[draw(st.sampled_from(sorted(ALL_CASES)))]
    fields = fields_of(kind, text, EXTREME)
    if fields:
        text = varied(kind, text, [
            (field.name, draw(st.sampled_from(values_of(field, EXTREME))))
            for field in draw(st.lists(st.sampled_from(fields), max_size=2))])
    return kind, text, bottoms, tops


def arrays_of(bottoms):
    random = np.random.RandomState(0)
    return {f"bottom{index}": fill(bottom, random) for index, bottom in enumerate(bottoms)}


def inferred(text):
    """The shapes of a net's blobs; None where they are too large to be run."""
    net = Net.parse(text).at("TEST")
    blobs = shapes.infer(net)
    receptive.fields(net, blobs)
    cost.costs(net, blobs)
    sizes = [*blobs.values(), *(shape for arrays in shapes.parameters(net, blobs).values()
                                for shape in arrays)]
    is_small = sum(np.prod(shape, dtype=float) for shape in sizes) < MOST_NUMBERS
    return blobs if is_small else None


@pytest.fixture(scope="module")
def weights_path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("weights") / "net.caffemodel")


def check(case, path, use):
    """Let a layer be used, if it can be built and is small enough, or be refused.

    ``use`` is called with its type, the net for an engine, the arrays to feed and the shapes.
    """
    kind, parameters, bottoms, count = case
    arrays, tops = arrays_of(bottoms), [f"top{index}" for index in range(count)]
    text = net_text(kind, parameters, arrays, tops, [])

    def build_and_use(weights_path):
        blobs = inferred(text)
        if blobs is not None and tops:
            weights.save(weights_path, definitions.random_weights(text) or {"none": []})
            use(kind, NetToRun(text, weights_path, (tops[0],), ()), arrays, {
                top: blobs[top] for top in tops})

    read(build_and_use, path)


@fuzzed
@given(changed_cases())
def test_layers_run_or_are_refused(torch, weights_path, case):
    def run(kind, net, arrays, tops):
        with open_engine(net, Running(engine="torch")) as engine:
            for name, values in engine.forward(arrays, list(tops)).items():
                assert kind in OPEN_ENDED or values.shape == tuple(tops[name]), net.prototxt

    check(case, weights_path, run)


@fuzzed
@given(changed_cases())
def test_layers_are_written_as_operators_or_refused(weights_path, case):
    pytest.importorskip("onnx", reason="onnx is not installed here")
    from caffe_gradcam.engines.onnx.net import translate

    check(case, weights_path, lambda kind, net, arrays, tops: translate(net))
