"""Where a layer chooses between nearly equal numbers, each layer is proven by itself."""

import json

import numpy as np
import pytest

from caffe_gradcam.engines.onnx import registry
from caffe_gradcam.export import exporting

# Every window of the pooling holds equal numbers, and the first of them is chosen.
NET = """input: "data" input_shape { dim: 1 dim: 1 dim: 4 dim: 4 }
layer { name: "ones" type: "Convolution" bottom: "data" top: "ones"
  convolution_param { num_output: 1 kernel_size: 1 } }
layer { name: "rounded" type: "Power" bottom: "ones" top: "rounded" }
layer { name: "pool" type: "Pooling" bottom: "rounded" top: "pool" top: "places"
  pooling_param { pool: MAX kernel_size: 2 stride: 2 } }
layer { name: "back" type: "Upsample" bottom: "pool" bottom: "places" top: "back"
  upsample_param { scale: 2 } }
layer { name: "size" type: "AbsVal" bottom: "back" top: "size" }
"""
BLOBS = {"ones": [np.zeros((1, 1, 1, 1), np.float32), np.ones(1, np.float32)]}


@pytest.fixture
def rounding(monkeypatch):
    """A translation whose results differ in their last digit from cell to cell."""
    monkeypatch.setitem(registry.TRANSLATIONS, "Power", lambda step: [step.op(
        "Add", step.bottoms[0], np.float32([0, 2e-7, 0, 2e-7]))])


def test_numbers_that_are_put_elsewhere_by_rounding_alone_are_proven_layer_by_layer(
        exported_of, rounding, tmp_path):
    exported = exported_of(NET, BLOBS)
    certificate = exported.certificate
    blobs = {entry.name: entry for entry in certificate.blobs}
    assert blobs["rounded"].error < 1e-6 and blobs["rounded"].layer_error is None
    assert blobs["back"].error > 1 and blobs["back"].layer_error == 0
    assert certificate.passes
    exported.write(str(tmp_path / "net.onnx"))
    written = json.loads((tmp_path / "net.certificate.json").read_text())
    assert written["outputs"]["size"]["layer_error"] == 0
    assert "the first of them places, differ because a layer chooses" in written["notes"][-1]


@pytest.fixture
def joined(monkeypatch):
    """Outputs for which other equal numbers were chosen than where all blobs are seen."""
    run = exporting._run_written

    def run_otherwise(*arguments):
        given, rows = run(*arguments)
        return given, [dict(row, size=row["size"][:, :, ::-1]) for row in rows]

    monkeypatch.setattr(exporting, "_run_written", run_otherwise)


def test_outputs_that_rounding_changes_only_where_layers_are_joined_are_proven_too(
        exported_of, joined):
    certificate = exported_of(NET, BLOBS).certificate
    assert all(entry.error == 0 for entry in certificate.blobs)
    output, = certificate.outputs
    assert output.error > 1 and output.layer_error == 0
    assert certificate.passes
    assert certificate.notes[-1].startswith("blob size differs because a layer")


def test_outputs_that_differ_without_a_choice_are_noticed(exported_of, joined):
    net = NET[:NET.index("layer { name: \"pool\"")] + (
        'layer { name: "size" type: "AbsVal" bottom: "rounded" top: "size" }')
    blobs = {"ones": [np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32)]}
    assert not exported_of(net, blobs).certificate.passes


def test_a_wrong_translation_behind_a_choice_is_noticed(exported_of, rounding, monkeypatch):
    monkeypatch.setitem(registry.TRANSLATIONS, "AbsVal", lambda step: [step.op(
        "Mul", step.bottoms[0], np.float32(1.001))])
    certificate = exported_of(NET, BLOBS).certificate
    assert not certificate.passes
    assert all(entry.layer_error is None for entry in certificate.blobs)


def test_a_wrong_translation_before_a_choice_is_noticed(exported_of, monkeypatch):
    monkeypatch.setitem(registry.TRANSLATIONS, "Power", lambda step: [step.op(
        "Add", step.bottoms[0], np.float32([0, 1e-3, 0, 1e-3]))])
    certificate = exported_of(NET, BLOBS).certificate
    assert certificate.failures[0].name == "rounded"
    assert all(entry.layer_error is None for entry in certificate.blobs)
