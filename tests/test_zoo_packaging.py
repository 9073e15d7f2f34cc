"""An installed package carries the registry inside."""

import fnmatch
import os
import runpy

import pytest

setuptools = pytest.importorskip("setuptools")

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = "caffe_gradcam.zoo.models"


@pytest.fixture(scope="module")
def metadata():
    """The arguments of setup() in setup.py."""
    given, real = {}, setuptools.setup
    setuptools.setup = lambda **arguments: given.update(arguments)
    try:
        runpy.run_path(os.path.join(ROOT, "setup.py"))
    finally:
        setuptools.setup = real
    return given


def test_the_folder_models_is_installed_where_the_registry_looks(metadata):
    from caffe_gradcam.zoo import registry

    assert metadata["package_dir"][PACKAGE] == "models"
    assert PACKAGE in metadata["packages"]
    assert registry._SHIPPED[0] == os.path.join(ROOT, "caffe_gradcam", "zoo", "models")


def test_every_entry_and_the_labels_are_among_the_package_s_data(metadata):
    patterns = metadata["package_data"][PACKAGE]
    folders = [name for name in os.listdir(os.path.join(ROOT, "models"))
               if os.path.isdir(os.path.join(ROOT, "models", name))]
    wanted = [name + "/readme.md" for name in folders] + [
        "labels.yaml", "digits/deploy.prototxt", "digits/digits.caffemodel", "digits/labels.txt"]
    assert len(wanted) > 100
    for name in wanted:
        assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns), name


def test_fetching_is_an_extra_of_its_own(metadata):
    assert metadata["extras_require"]["zoo"] == ["requests"]
    assert "requests" not in metadata["install_requires"]
