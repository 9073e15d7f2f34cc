"""Every layer type with extreme values: it is built and run, or refused, and says its shape."""

import re

import definitions
import numpy as np
import pytest
from harness import fuzzed, read
from hypothesis import given
from hypothesis import strategies as st
from layer_cases import CASES, OTHER_CASES, fill, net_text

from prototxt_tools import shapes, weights
from prototxt_tools.net.net import Net
from prototxt_tools.reports import cost, receptive

ALL_CASES = dict(CASES, **OTHER_CASES)
# How many numbers a layer may hold to be run here.
MOST_NUMBERS = 1 << 20
# Their number of rows depends on the values.
OPEN_ENDED = ("DetectionOutput", "YoloDetectionOutput", "Yolov3DetectionOutput", "Proposal")
INTEGERS = ("0", "1", "-1", "2", "3", "7", "1000000", "2147483647", "-2147483648", "4294967295")
NUMBERS = ("0", "-1", "0.5", "1", "3", "1e30", "-1e30", "1e-30", "nan", "inf")
FORM = re.compile(r"\s*(\w+)\s*\{(.*)\}\s*$", re.DOTALL)


def parameters_of(kind, text):
    """The name, the text and the descriptor of the parameters of a case, None where it has none."""
    match = FORM.match(text)
    message = Net.parse(net_text(kind, text, {}, ["top"], [])).layers[0].message
    for field in message.DESCRIPTOR.fields:
        plain = field.name.replace("_param", "").replace("_", "")
        if field.name == match.group(1) if match else plain == kind.lower():
            return field.name, match.group(2) if match else "", field.message_type
    return None


def values_of(field):
    """What a field may be set to."""
    if field.enum_type is not None:
        return [value.name for value in field.enum_type.values]
    if field.message_type is not None:
        return []
    if field.cpp_type == field.CPPTYPE_BOOL:
        return ["true", "false"]
    if field.cpp_type in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return list(NUMBERS)
    return [] if field.cpp_type == field.CPPTYPE_STRING else list(INTEGERS)


@st.composite
def changed_cases(draw):
    """A case of a layer with one or two fields of its parameters set to other values."""
    kind, text, bottoms, tops = ALL_CASES[draw(st.sampled_from(sorted(ALL_CASES)))]
    parameters = parameters_of(kind, text)
    if parameters is not None:
        name, body, descriptor = parameters
        fields = [field for field in descriptor.fields if values_of(field)]
        for field in draw(st.lists(st.sampled_from(fields), max_size=2)) if fields else ():
            setting = f"{field.name}: {draw(st.sampled_from(values_of(field)))}"
            body, count = re.subn(rf"\b{field.name}\s*:\s*\S+", setting, body, count=1)
            body += "" if count else " " + setting
        text = f"{name} {{ {body} }}"
    return kind, text, bottoms, tops


def arrays_of(bottoms):
    random = np.random.RandomState(0)
    return {f"bottom{index}": fill(bottom, random) for index, bottom in enumerate(bottoms)}


def inferred(text):
    """The net and its shapes; None for the shapes where they are too large to be run."""
    net = Net.parse(text).at("TEST")
    blobs = shapes.infer(net)
    receptive.fields(net, blobs)
    cost.costs(net, blobs)
    sizes = [*blobs.values(), *(shape for arrays in shapes.parameters(net, blobs).values()
                                for shape in arrays)]
    is_small = sum(np.prod(shape, dtype=float) for shape in sizes) < MOST_NUMBERS
    return net, blobs if is_small else None


@pytest.fixture(scope="module")
def weights_path(tmp_path_factory):
    return str(tmp_path_factory.mktemp("weights") / "net.caffemodel")


@fuzzed
@given(changed_cases())
def test_layers_run_or_are_refused(torch, weights_path, case):
    from caffe_gradcam.engines import NetToRun, Running, open_engine

    kind, parameters, bottoms, count = case
    arrays, tops = arrays_of(bottoms), [f"top{index}" for index in range(count)]
    text = net_text(kind, parameters, arrays, tops, [])

    def run(path):
        _, blobs = inferred(text)
        if blobs is None or not tops:
            return
        weights.save(path, definitions.random_weights(text) or {"none": []})
        with open_engine(NetToRun(text, path, (tops[0],), ()), Running(engine="torch")) as engine:
            for name, values in engine.forward(arrays, tops).items():
                assert kind in OPEN_ENDED or values.shape == tuple(blobs[name]), parameters

    read(run, weights_path)


@fuzzed
@given(changed_cases())
def test_layers_are_written_as_operators_or_refused(weights_path, case):
    pytest.importorskip("onnx", reason="onnx is not installed here")
    from caffe_gradcam.engines import NetToRun
    from caffe_gradcam.engines.onnx.net import translate

    kind, parameters, bottoms, count = case
    arrays, tops = arrays_of(bottoms), [f"top{index}" for index in range(count)]
    text = net_text(kind, parameters, arrays, tops, [])

    def write(path):
        _, blobs = inferred(text)
        if blobs is None or not tops:
            return
        weights.save(path, definitions.random_weights(text) or {"none": []})
        translate(NetToRun(text, path, (tops[0],), ()))

    read(write, weights_path)
