"""The public face of caffe_gradcam: what it exports, and that it loads nothing heavy."""

import subprocess
import sys

import pytest

import caffe_gradcam
import prototxt_tools

EXPORTED = """
    Against Asking At AtIndex Class EngineError EngineFailed EngineMissing Explainer Explaining
    Explanation Explanations FetchError ImageError InputError Like METHODS Method Model
    ModelChoice ModelError OutOfMemory Outcome Probability PrototxtError Question QuestionError
    Recipe Result Running Sum Top WeightsError Weighted __version__ explain_batch layer""".split()


def loaded(code):
    """The modules that a new interpreter holds after some code."""
    code += "; import sys; print(' '.join(sys.modules))"
    return set(subprocess.check_output([sys.executable, "-c", code]).decode().split())


def test_the_exported_names_are_these():
    assert caffe_gradcam.__all__ == EXPORTED


@pytest.mark.parametrize("name", [name for name in EXPORTED if name != "layer"])
def test_an_exported_name_is_there_and_is_listed(name):
    assert getattr(caffe_gradcam, name) is not None
    assert name in dir(caffe_gradcam)


def test_so_is_the_decorator_of_layer_types_where_torch_is(torch):
    assert callable(caffe_gradcam.layer)


def test_importing_the_package_loads_nothing_heavy():
    assert not {"numpy", "cv2", "torch", "caffe", "google.protobuf", "yaml"} & loaded(
        "import caffe_gradcam")


def test_a_model_is_loaded_without_opencv_and_engines():
    assert not {"cv2", "torch", "caffe"} & loaded("from caffe_gradcam import Model, Recipe")


def test_the_errors_are_those_of_prototxt_tools():
    assert caffe_gradcam.InputError is prototxt_tools.InputError


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'caffe_gradcam' has no attribute 'Modell'"):
        caffe_gradcam.Modell  # noqa: B018
