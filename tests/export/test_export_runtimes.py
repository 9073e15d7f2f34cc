"""Exported graphs where people run them: ONNX Runtime, OpenCV's dnn and OpenVINO."""

import os

import cv2
import definitions
import numpy as np
import pytest
from export_nets import TORCH

from caffe_gradcam.explaining.recipe import ModelChoice
from caffe_gradcam.export.explaining.graph import ExplainOptions
from caffe_gradcam.export.exporting import ExportOptions, export, write
from caffe_gradcam.export.made import made_inputs
from caffe_gradcam.export.proof import compare, run_graph
from caffe_gradcam.export.source import NetSource

# name: (prototxt, weights), of the folder of third-party models; None: the only one there.
MODELS = {
    "alphabet_lijianfei": ("deploy.prototxt", None),
    "captcha_resnet20_multihead_lijianfei": ("deploy.prototxt", None),
    "cifar10_cmsis_m4": ("derived_deploy.prototxt", "weights_quantized.caffemodel"),
    "cifar10_full_bxuan": ("deploy.prototxt", "weights_iter_60000.caffemodel.h5"),
    "cifar10_quick_simshang": ("deploy.prototxt", "weights_iter_4000.caffemodel"),
    "densenet_cifar10_lijianfei": ("deploy_a.prototxt", None),
    "hyperlpr_finemapping": ("deploy.prototxt", "weights.caffemodel"),
    "lenet_mnist_bvlc": ("deploy.prototxt", None),
    "mtcnn_det1_pnet": ("deploy.prototxt", None),
    "mtcnn_det2_rnet": ("deploy.prototxt", None),
    "mtcnn_det3_onet": ("deploy.prototxt", None),
    "open_nsfw": ("deploy.prototxt", None),
    "parking_lenet32x40_3_ive": ("derived_deploy.prototxt", None),
    "res10_ssd_face": ("deploy.prototxt", None),
    "resnet20_cifar10_lijianfei": ("derived_deploy.prototxt", None),
    "squeezenet_v1.1": ("deploy.prototxt", None),
}


def in_opencv(path, inputs, outputs):
    """The outputs in OpenCV's dnn, which reads ONNX in every version."""
    net = cv2.dnn.readNet(path)
    for name, array in inputs.items():
        net.setInput(array, name)
    return dict(zip(outputs, net.forward(outputs)))


def in_openvino(path, inputs, outputs):
    """The outputs in OpenVINO, told to compute in f32."""
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(path), "CPU",
                                  {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled({name: array for name, array in inputs.items()})
    return {name: results[port] for port in compiled.outputs for name in port.names
            if name in outputs}


# Nets, each with a layer to explain; between it and the scores are products, pooling, LRN and
# joined branches.
EXPLAINED = {
    "densenet": (definitions.densenet, "concat_1_1"),
    "googlenet": (lambda: definitions.googlenet(40), "inception_4d/output"),
    "lenet": (definitions.lenet, "conv1"),
    "resnet18": (lambda: definitions.resnet(18, 40), "res3b"),
    "square": (lambda: definitions.SQUARE, "conv"),
    "squeezenet": (lambda: definitions.squeezenet(40), "fire5/concat"),
}
# A ReLU whose input is 0 but for rounding passes a gradient on in one library and not in another;
# a wrong map is as far from the right one as it is large.
NEAR = 5e-2
RUNTIMES = {"opencv": in_opencv, "openvino": in_openvino}


def source_of(shared, name):
    prototxt, weights = MODELS[name]
    folder = shared / "models" / name
    return NetSource.load(ModelChoice(str(folder / prototxt),
                                      weights and str(folder / weights)))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_real_model_gives_the_same_everywhere(name, shared, tmp_path):
    exported = export(source_of(shared, name), ExportOptions(), TORCH)
    assert exported.certificate.failures == []
    path = str(tmp_path / "model.onnx")
    exported.write(path)
    source = source_of(shared, name)
    shapes = {blob: (1,) + shape[1:] for blob, shape in source.input_shapes.items()}
    inputs = made_inputs(source.model.graph.net, shapes)
    if name == "res10_ssd_face":
        with np.load(str(shared / "models" / name / "expected_opencv4.npz")) as arrays:
            inputs = {"data": arrays["data"]}
    expected = run_graph(exported.model, inputs)
    for run in RUNTIMES.values():
        actual = run(path, inputs, list(expected))
        errors = [compare(output, actual[output], expected[output]).error for output in expected]
        assert max(errors) < 1e-5


def test_the_face_detector_finds_what_opencv_4_found(shared):
    """OpenCV 4 fills its list of 200 up with rows of zeros."""
    folder = shared / "models" / "res10_ssd_face"
    graph = write(source_of(shared, "res10_ssd_face"), ExportOptions(), TORCH).model()
    with np.load(str(folder / "expected_opencv4.npz")) as arrays:
        found = run_graph(graph.SerializeToString(), {"data": arrays["data"]})["detection_out"]
        expected = arrays["detection_out"]
    assert not expected[0, 0, found.shape[2]:, 2].any()
    assert compare("detection_out", found, expected[:, :, :found.shape[2]]).error < 1e-5


@pytest.mark.parametrize("method", ["grad-cam", "hirescam"])
@pytest.mark.parametrize("name", sorted(EXPLAINED))
def test_an_explaining_graph_gives_the_same_everywhere(name, method, tmp_path):
    text, layer = EXPLAINED[name][0](), EXPLAINED[name][1]
    definitions.write_model(tmp_path, text)
    source = NetSource.load(ModelChoice(str(tmp_path)))
    graph = write(source, ExportOptions(explain=ExplainOptions(method, (layer,))), TORCH).model()
    path = str(tmp_path / "model.onnx")
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    inputs = {"data": definitions.random_input((1,) + source.input_shapes["data"][1:])}
    expected = run_graph(graph.SerializeToString(), inputs)
    for runtime, run in RUNTIMES.items():
        actual = run(path, inputs, list(expected))
        for output, values in expected.items():
            shaped = np.asarray(actual[output], values.dtype).reshape(values.shape)
            assert compare(output, shaped, values).error < NEAR, (runtime, output)


def test_an_explaining_graph_gives_the_same_in_openvino(models, tmp_path):
    source = NetSource.load(ModelChoice(str(models / "digits")))
    options = ExportOptions(explain=ExplainOptions(heatmap=True), with_preprocessing=True)
    exported = export(source, options, TORCH)
    path = str(tmp_path / "model.onnx")
    exported.write(path)
    image = cv2.imread(str(models / "digits" / "scenes" / "3-5.png"))[:, :, ::-1].copy()
    expected = run_graph(exported.model, {"image": image})
    actual = in_openvino(path, {"image": image}, list(expected))
    assert set(actual) == set(expected)
    for name in expected:
        assert compare(name, actual[name], expected[name]).error < 1e-4, name


def test_nothing_needs_onnx_before_a_graph_is_written():
    import subprocess
    import sys

    code = ("import sys; sys.modules['onnx'] = None; import caffe_gradcam.export.exporting; "
            "from caffe_gradcam.engines.onnx import libraries\n"
            "try: libraries.load('onnx')\n"
            "except Exception as error: print(error)")
    output = subprocess.check_output([sys.executable, "-c", code], env=dict(os.environ)).decode()
    assert "pip install 'caffe-gradcam[onnx]'" in output
