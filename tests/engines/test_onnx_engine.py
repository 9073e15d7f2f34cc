"""The engines on ONNX Runtime and OpenVINO, against the torch engine; they need no torch."""

import subprocess
import sys
from pathlib import Path

import definitions
import numpy as np
import pytest
from opened import GRAPH_LIBRARIES, open_net

from caffe_gradcam.commands.cli import main
from caffe_gradcam.engines import opening
from prototxt_tools.errors import EngineError, ModelError
from prototxt_tools.net.net import Net

pytest.importorskip("onnx", reason="onnx is not installed here")

ROOT = Path(__file__).resolve().parents[2]
NETS = {
    "lenet": (definitions.lenet, "ip2", ["conv2", "conv1"]),
    "densenet": (definitions.densenet, "fc", ["conv3_blk/bn", "concat_1_1"]),
    "pooled_linear": (definitions.pooled_linear, "score", ["conv"]),
}


def relative_error(actual, expected):
    return np.linalg.norm(actual - expected) / np.linalg.norm(expected)


@pytest.fixture
def files(tmp_path):
    def write(name):
        text = NETS[name][0]()
        return (text, definitions.write_model(tmp_path, text)[1], *NETS[name][1:])
    return write


def values(kind, net, images, **options):
    """Every blob, and the gradients at the targets of class 2."""
    text, caffemodel, score, targets = net
    with open_net(kind, text, caffemodel, [score], targets, **options) as engine:
        blobs = engine.forward({"data": images}, [score, *targets])
        seed = np.zeros_like(blobs[score])
        seed.reshape(len(seed), -1)[:, 2] = 1
        return blobs, engine.backward(score, seed, targets)


@pytest.mark.parametrize("gradient", ["post", "pre-relu"])
@pytest.mark.parametrize("name", sorted(NETS))
def test_blobs_and_gradients_are_those_of_torch(name, gradient, graph_kind, files, torch):
    net = files(name)
    images = definitions.random_input((3,) + Net.parse(net[0]).inputs[0].shape[1:])
    actual = values(graph_kind, net, images, gradient=gradient)
    expected = values("torch", net, images, gradient=gradient)
    for ours, theirs in zip(actual, expected):
        for blob in theirs:
            assert relative_error(ours[blob], theirs[blob]) < 1e-5, blob


def test_batches_and_sizes_may_change_from_call_to_call(graph_kind, tmp_path, torch):
    text = definitions.pooled_linear()
    # The mean over all places takes any size, a kernel of 9 does not.
    text = text.replace("kernel_size: 9", "").replace("pool: AVE", "pool: AVE global_pooling: true")
    text = text.replace("global_pooling: true global_pooling: true", "global_pooling: true")
    net = (text, definitions.write_model(tmp_path, text)[1], "score", ["conv"])
    with open_net(graph_kind, text, net[1], ["score"], ["conv"]) as engine:
        for shape in ((2, 2, 9, 9), (5, 2, 9, 9), (1, 2, 12, 7), (2, 2, 9, 9)):
            images = definitions.random_input(shape)
            blobs = engine.forward({"data": images}, ["score", "conv"])
            expected, _ = values("torch", net, images)
            assert relative_error(blobs["score"], expected["score"]) < 1e-5
            gradients = engine.backward("score", np.ones_like(blobs["score"]), ["conv"])
            assert gradients["conv"].shape == blobs["conv"].shape


def test_what_it_cannot_do_is_refused_with_the_way_out(graph_kind, files):
    text, caffemodel, score, targets = files("lenet")
    with open_net(graph_kind, text, caffemodel, [score], targets) as engine:
        blobs = engine.forward({"data": np.zeros((1, 1, 28, 28), np.float32)}, [score, "conv2"])
        seed = np.ones_like(blobs[score])
        for call in (lambda: engine.forward_from("conv2", blobs["conv2"], [score]),
                     lambda: engine.backward(score, seed, targets, "guided"),
                     lambda: engine.replace_weights({})):
            with pytest.raises(EngineError, match="use --engine torch"):
                call()


@pytest.mark.parametrize("option", [{"device": "cuda"}, {"precision": "fp16"}])
def test_devices_and_precisions_that_it_does_not_have(option, graph_kind, files):
    text, caffemodel, score, targets = files("lenet")
    with pytest.raises(EngineError):
        open_net(graph_kind, text, caffemodel, [score], targets, **option)


def test_onnx_runtime_has_no_bf16(files):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed here")
    text, caffemodel, score, targets = files("lenet")
    with pytest.raises(EngineError, match="not compute in bf16.*; use --engine openvino, or fp32"):
        open_net("onnx", text, caffemodel, [score], targets, precision="bf16")


def test_openvino_computes_in_bf16_where_the_processor_has_it(files, caplog):
    pytest.importorskip("openvino", reason="openvino is not installed here")
    from caffe_gradcam.engines import openvino_library

    has_bf16 = openvino_library.has_bf16()
    net = files("densenet")
    images = definitions.random_input((3,) + Net.parse(net[0]).inputs[0].shape[1:])
    with open_net("openvino", *net[:2], [net[2]], net[3], precision="bf16") as engine:
        assert engine.description["precision"] == ("bf16" if has_bf16 else "fp32")
    assert [record.getMessage() for record in caplog.records] == ([] if has_bf16 else [
        "cpu has no arithmetic in bf16, so openvino computes in fp32"])
    exact, short = (values("openvino", net, images, precision=precision)[0]
                    for precision in ("fp32", "bf16"))
    for blob, expected in exact.items():
        error = relative_error(short[blob], expected)
        assert 1e-4 < error < 0.05 if has_bf16 else error == 0, blob


def test_a_processor_without_bf16_computes_in_fp32_and_says_so(files, monkeypatch, caplog):
    pytest.importorskip("openvino", reason="openvino is not installed here")
    from caffe_gradcam.engines import openvino_library

    monkeypatch.setattr(openvino_library, "has_bf16", lambda: False)
    net = files("lenet")
    images = definitions.random_input((2, 1, 28, 28))
    short, exact = (values("openvino", net, images, precision=precision)[0]
                    for precision in ("bf16", "fp32"))
    assert all(np.array_equal(short[blob], exact[blob]) for blob in exact)
    assert [record.getMessage() for record in caplog.records] == [
        "cpu has no arithmetic in bf16, so openvino computes in fp32"]


def test_a_batch_that_the_net_fixes_is_the_only_one(graph_kind, tmp_path):
    text = ('input: "data" input_shape { dim: 1 dim: 2 dim: 3 dim: 3 }\n'
            'layer { name: "r" type: "Reshape" bottom: "data" top: "r" '
            'reshape_param { shape { dim: 1 dim: 18 } } }\n'
            'layer { name: "fc" type: "InnerProduct" bottom: "r" top: "fc" '
            'inner_product_param { num_output: 2 } }\n')
    caffemodel = definitions.write_model(tmp_path, text)[1]
    with open_net(graph_kind, text, caffemodel, ["fc"], []) as engine:
        assert engine.forward({"data": np.zeros((1, 2, 3, 3))}, ["fc"])["fc"].shape == (1, 2)
        with pytest.raises(ModelError):
            engine.forward({"data": np.zeros((2, 2, 3, 3))}, ["fc"])


def test_an_explanation_needs_no_torch(graph_kind):
    others = {"torch", "caffe", *GRAPH_LIBRARIES.values()} - {GRAPH_LIBRARIES[graph_kind]}
    code = (f"import sys; sys.modules.update(dict.fromkeys({sorted(others)}))\n"
            "from caffe_gradcam import Model\n"
            "model = Model.load('models/digits')\n"
            "explanation = model.explain('models/digits/scenes/3-5.png', classes=3, "
            f"engine={graph_kind!r})[0]\n"
            "print(explanation.class_name, explanation.status)")
    output = subprocess.check_output([sys.executable, "-c", code], cwd=str(ROOT))
    assert output.decode().split() == ["three", "ok"]


def test_the_scenes_of_the_demo_get_what_torch_says_of_them(
        graph_kind, models, tmp_path, capsys, torch):
    scenes = sorted(map(str, (models / "digits" / "scenes").glob("*.png")))
    lines = {}
    for engine in (graph_kind, "torch"):
        arguments = ["explain", str(models / "digits"), *scenes, "-o", str(tmp_path / engine),
                     "--report", str(tmp_path / engine / "report.html"), "--engine", engine,
                     "--class", "top:2"]
        assert main(arguments) == 0
        assert (tmp_path / engine / "report.html").stat().st_size
        lines[engine] = capsys.readouterr().out.replace(str(tmp_path / engine), "")
    assert len(lines[graph_kind].splitlines()) > len(scenes)
    assert lines[graph_kind] == lines["torch"]


def test_openvino_runs_the_graphs_where_onnx_runtime_is_not_installed(monkeypatch):
    installed = {"onnx", "openvino"}
    monkeypatch.setattr(opening, "is_installed", lambda library: library in installed)
    assert opening.resolve_engine("onnx") == "openvino"
    assert opening.resolve_engine("auto") == "openvino"
    installed.add("onnxruntime")
    assert opening.resolve_engine("onnx") == opening.resolve_engine("auto") == "onnx"
