"""Every layer type as ONNX operators, against the torch engine, which equals Caffe."""

import numpy as np
import pytest
from export_nets import random_blobs
from layer_cases import CASES, OTHER_CASES, fill, net_text

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

ALL = {**CASES, **OTHER_CASES}


@pytest.mark.parametrize("case", [case for case, (_, _, _, tops) in ALL.items() if tops])
def test_a_layer_computes_the_same_in_onnx_runtime(case, tmp_path):
    from caffe_gradcam.engines.onnx.net import translate
    from caffe_gradcam.engines.running import NetToRun
    from caffe_gradcam.engines.torch import LAYERS, families  # noqa: F401
    from caffe_gradcam.export.proof import compare, run_graph
    from prototxt_tools import weights
    from prototxt_tools.net.net import Net

    kind, parameters, given, count = ALL[case]
    rng = np.random.RandomState(len(case))
    bottoms = {f"b{index}": fill(bottom, rng) for index, bottom in enumerate(given)}
    tops = [f"t{index}" for index in range(count)]
    text = net_text(kind, parameters, bottoms, tops, [])
    blobs, path = random_blobs(text), str(tmp_path / "net.caffemodel")
    weights.save(path, blobs)

    model = translate(NetToRun(text, path, tuple(tops), ())).model(tops)
    onnx.checker.check_model(model)
    actual = run_graph(model.SerializeToString(), bottoms)
    expected = LAYERS[kind](
        Net.parse(text).layers[-1].message, [torch.from_numpy(array) for array in bottoms.values()],
        [torch.from_numpy(array) for array in blobs.get("it", ())])

    for top, value in zip(tops, expected):
        assert compare(top, actual[top], value.numpy()).passes


def test_every_type_of_the_torch_engine_is_exported():
    from caffe_gradcam.engines.onnx import layers  # noqa: F401
    from caffe_gradcam.engines.onnx.registry import TRANSLATIONS
    from caffe_gradcam.engines.torch import families  # noqa: F401
    from caffe_gradcam.engines.torch.registry import BUILT_IN

    assert BUILT_IN <= set(TRANSLATIONS)
