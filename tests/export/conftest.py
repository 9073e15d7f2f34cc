"""Nets that are exported, compared with the torch engine."""

import pytest
from export_nets import TORCH, random_blobs

from caffe_gradcam.explaining.recipe import ModelChoice
from caffe_gradcam.export.exporting import ExportOptions, export
from caffe_gradcam.export.source import NetSource
from prototxt_tools import weights

LIBRARIES = ("onnx", "onnxruntime", "torch")


@pytest.fixture(autouse=True)
def libraries():
    """The libraries that all tests here need, or a skip."""
    for name in LIBRARIES:
        pytest.importorskip(name, reason=f"{name} is not installed here")


@pytest.fixture
def source_of(tmp_path):
    """A function that makes a NetSource of a text and, if given, learned blobs."""
    def make(text, blobs=None):
        prototxt, caffemodel = tmp_path / "net.prototxt", tmp_path / "net.caffemodel"
        prototxt.write_text(text)
        weights.save(str(caffemodel), random_blobs(text) if blobs is None else blobs)
        return NetSource.load(ModelChoice(str(prototxt), str(caffemodel)))
    return make


@pytest.fixture
def exported_of(source_of):
    """A function that exports a text, compared with the torch engine."""
    def make(text, blobs=None, **options):
        return export(source_of(text, blobs), ExportOptions(**options), TORCH)
    return make
