"""A graph is written only if it is proven; the certificate holds the proof."""

import json

import numpy as np
import pytest
from export_nets import TORCH

from caffe_gradcam.commands import cli
from caffe_gradcam.engines import opening
from caffe_gradcam.engines.onnx import registry
from caffe_gradcam.engines.running import Running
from caffe_gradcam.explaining.recipe import ModelChoice
from caffe_gradcam.export import proof
from caffe_gradcam.export.exporting import ExportOptions, export
from caffe_gradcam.export.proof import NotProven, compare
from caffe_gradcam.export.source import NetSource
from prototxt_tools.errors import EngineMissing, ModelError


@pytest.fixture
def digits(models):
    return NetSource.load(ModelChoice(str(models / "digits")))


@pytest.fixture
def wrong_relu(monkeypatch):
    """A translation that lets a little of the negative numbers through."""
    monkeypatch.setitem(registry.TRANSLATIONS, "ReLU", lambda step: [
        step.op("LeakyRelu", step.bottoms[0], alpha=0.001)])


def test_every_blob_is_compared(digits):
    certificate = export(digits, ExportOptions(), TORCH).certificate
    net = digits.model.graph.net
    assert {entry.name for entry in certificate.blobs} == set(net.blobs()) - {"data"}
    assert certificate.passes


def test_a_wrong_translation_is_noticed(digits, wrong_relu):
    certificate = export(digits, ExportOptions(), TORCH).certificate
    assert not certificate.passes
    assert certificate.failures[0].name == next(
        layer.tops[0] for layer in digits.model.graph.net.layers if layer.type == "ReLU")


def test_a_wrong_translation_leaves_no_file_and_a_sentence(models, tmp_path, wrong_relu, capsys):
    code = cli.main(["export", str(models / "digits"), "-o", str(tmp_path / "digits.onnx"),
                     "--engine", "torch"])
    assert code == 2
    assert list(tmp_path.iterdir()) == []
    assert "nothing is written: the exported graph differs from the torch engine, first at " in (
        capsys.readouterr().err)


def test_the_command_writes_the_graph_and_the_certificate(models, tmp_path, capsys):
    picture = models / "digits" / "scenes" / "3-5.png"
    code = cli.main(["export", str(models / "digits"), "-o", str(tmp_path / "digits.onnx"),
                     "--engine", "torch", "--image", str(picture)])
    assert code == 0, capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "digits.certificate.json", "digits.onnx"]
    certificate = json.loads((tmp_path / "digits.certificate.json").read_text())
    assert certificate["result"] == "pass"
    assert certificate["inputs"][0]["file"] == "3-5.png"
    assert certificate["compared_with"]["engine"] == "torch"
    assert set(certificate["sha256"]) == {"prototxt", "weights", "graph"}
    assert {"caffe-gradcam", "onnx", "onnxruntime"} <= set(certificate["versions"])


def test_a_net_that_gives_nothing_is_refused(exported_of):
    with pytest.raises(ModelError, match="no layer of the net gives an output to export"):
        exported_of('input: "data" input_shape { dim: 1 dim: 3 dim: 4 dim: 4 }\n'
                    'layer { name: "off" type: "Silence" bottom: "data" }', {"none": []})


def test_large_blobs_are_compared_part_by_part(monkeypatch):
    monkeypatch.setattr(proof, "_PART", 7)
    random = np.random.RandomState(0)
    expected = random.randn(3, 5, 4).astype(np.float32)
    actual = expected + random.randn(3, 5, 4).astype(np.float32) / 100
    difference = actual.astype(float) - expected
    distance = np.linalg.norm(difference) / np.linalg.norm(expected.astype(float))
    assert compare("x", actual, expected).error == pytest.approx(distance, rel=1e-9)
    actual[2, 4, 3] = np.nan
    assert not compare("x", actual, expected, tolerance=1).passes


def test_the_certificate_has_the_hash_of_the_graph(digits, tmp_path):
    import hashlib

    exported = export(digits, ExportOptions(), TORCH)
    exported.write(str(tmp_path / "digits.onnx"))
    data = (tmp_path / "digits.onnx").read_bytes()
    assert exported.certificate.hashes["graph"] == hashlib.sha256(data).hexdigest()


def test_the_output_needs_its_extension(models, tmp_path, capsys):
    assert cli.main(["export", str(models / "digits"), "-o", str(tmp_path / "digits.pb")]) == 2
    assert "must end in .onnx" in capsys.readouterr().err


@pytest.mark.parametrize("actual, passes", [
    ([1.0, 2.0], True), ([1.0, 2.0001], False), ([1.0], False), ([1.0, np.nan], False),
])
def test_values_agree_up_to_the_tolerance(actual, passes):
    assert compare("x", np.float32(actual), np.float32([1, 2])).passes is passes


def test_nan_beside_nan_and_equal_infinities_are_no_difference():
    value = np.float32([np.nan, np.inf, -np.inf, 1])
    assert compare("x", value, value).error == 0


def test_the_message_names_blob_and_error(digits, wrong_relu, tmp_path):
    exported = export(digits, ExportOptions(), TORCH)
    with pytest.raises(NotProven, match=r"relative error .* at most 1e-05 is allowed"):
        exported.write(str(tmp_path / "digits.onnx"))


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_an_engine_that_runs_the_same_graph_is_no_proof(models, tmp_path, engine, capsys):
    pytest.importorskip("openvino", reason="OpenVINO is not installed here")
    code = cli.main(["export", str(models / "digits"), "-o", str(tmp_path / "digits.onnx"),
                     "--engine", engine])
    assert code == 2
    assert list(tmp_path.iterdir()) == []
    assert f"--engine {engine} runs the graph that is exported, so a comparison with it proves " \
        "nothing; use --engine torch or --engine caffe" in capsys.readouterr().err


def test_an_export_without_another_engine_tells_what_to_install(digits, monkeypatch):
    monkeypatch.setattr(opening, "is_installed", lambda name: name in ("onnx", "onnxruntime"))
    with pytest.raises(EngineMissing, match="does not run the exported graph itself: install "
                                            "pycaffe, or pip install torch"):
        export(digits, ExportOptions(), Running())
